"""The .tex of tables as text; tests/programs compiles them."""

import re

import numpy as np
import pandas as pd
import pytest

from jaxadv.report import tables
from jaxadv.report.columns import COLUMNS
from jaxadv.report.latex import PRINTED, escape, latex


@pytest.fixture(scope="module")
def texts(synthetic_run, tmp_path_factory):
    written = tables.write_all(synthetic_run, tmp_path_factory.mktemp("tables"))
    return {
        path.stem: path.read_text(encoding="ascii") for path in written if path.suffix == ".tex"
    }


def cells(text):
    """The rows of a table, its head first."""
    inside = text.split("\\toprule\n", 1)[1].split("\\end{tabular}")[0]
    lines = [line.removesuffix(" \\\\") for line in inside.splitlines() if line.endswith("\\\\")]
    return [re.split(r"(?<!\\) & ", line) for line in lines]


def test_rows_have_as_many_cells_as_the_table_has_columns(texts):
    assert {"accuracy", "robustness", "clever", "law", "transfer_cw_random_confidence_0"} <= set(
        texts
    )
    for name, text in texts.items():
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
        assert {len(row) for row in cells(text)} == {len(columns)}, name
        assert text.count("{") == text.count("}") and text.count("\\begin{") == text.count(
            "\\end{"
        ), name


def test_values_with_their_intervals(texts):
    rows = cells(texts["accuracy"])
    assert rows[0][3] == "top1\\_percent (\\%)"
    assert rows[1] == [
        "alexnet",
        "24",
        "24",
        "100.0 {[}86.2, 100.0{]}",
        "100.0",
        "0.0 {[}0.0, 13.8{]}",
    ]
    rows = cells(texts["robustness"])
    assert rows[0][:4] == ["attack", "setting", "target\\_kind", "model"] and len(rows) == 1 + 36
    failed = next(row for row in rows if row[0] == "ead")
    assert failed[4:7] == ["12", "12", "1"] and failed[8:11] == ["--"] * 3
    rows = cells(texts["law"])
    assert rows[0] == [escape(name) for name in PRINTED["law"]]


def test_matrix_has_upright_heads_and_percent(texts):
    rows = cells(texts["transfer_cw_untargeted_confidence_0"])
    assert rows[0][:3] == ["source", "\\rotatebox{90}{alexnet}", "\\rotatebox{90}{vgg\\_16}"]
    assert rows[1][:4] == ["alexnet", "75.0", "27.3", "33.3"]


def test_what_is_printed_is_in_the_tables(synthetic_views):
    made = synthetic_views.study | synthetic_views.made._asdict()
    made |= synthetic_views.robust.tables()
    for name, columns in PRINTED.items():
        assert set(columns) <= set(made[name]) & set(COLUMNS)


def test_long_texts_take_several_lines_and_their_rows_fewer_to_a_page(synthetic_views):
    claims = synthetic_views.study["claims"]
    text = latex("claims", claims, list(claims))
    longest = claims["evidence"].str.len().max()
    assert longest > 100 and text.count("\\parbox[t]{300pt}{\\raggedright ") == 2 * len(claims)
    assert text.count("\\begin{tabular}{lllll}") == -(
        -len(claims) // int(50 * 300 / (4.2 * longest))
    )


def test_special_characters():
    table = pd.DataFrame({"source": ['a_b & 50% #1 {x} $y \\z ~^|<>"', "é"], "a_b": [0.5, np.nan]})
    text = latex("transfer_x", table, ["source", "released"])
    assert (
        r"a\_b \& 50\% \#1 \{x\} \$y \textbackslash{}z "
        r"\textasciitilde{}\textasciicircum{}\textbar{}\textless{}\textgreater{}'' & 50.0 \\"
        in text
    )
    assert "{U+00E9} & -- \\\\" in text
    assert escape("–∞\n[a]") == "--$\\infty$ {[}a{]}"
