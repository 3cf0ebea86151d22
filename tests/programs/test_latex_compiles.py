"""pdflatex compiles each table, alone and in a document."""

import shutil
import subprocess

import pandas as pd
import pytest

from jaxadv.report import tables
from jaxadv.report.latex import PRINTED, latex

pytestmark = pytest.mark.programs
NASTY = "a_b & 50% #1 {x} $y \\z ~^|<>\"'` é 模 [0] *"


def compiled(folder, name):
    """The log of a compilation that succeeded."""
    assert shutil.which("pdflatex"), (
        "install pdflatex: on Debian, apt-get install texlive-latex-base"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", f"{name}.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert (folder / f"{name}.pdf").stat().st_size > 1000
    return done.stdout


def made_up(name, rows=200):
    """A table with more rows than a page holds, names that LaTeX could read as commands, and
    missing values.
    """
    texts = ["model", "attack", "setting", "target_kind", "norm", "distance", "fitted"]
    columns = list(PRINTED[name])
    columns += [f"{column}_{end}" for column in columns for end in ("low", "high")]
    table = pd.DataFrame(
        {column: NASTY if column in texts else 12345.678 for column in columns}, index=range(rows)
    )
    table.iloc[
        1, table.columns.get_loc(next(column for column in columns if column not in texts))
    ] = None
    return table.drop(
        columns=[
            column for column in table if column.rsplit("_", 1)[0] in texts and column not in texts
        ]
    )


@pytest.mark.parametrize("name", PRINTED)
def test_tables_compile(name, tmp_path):
    table = made_up(name)
    known = [column.removesuffix("_low").removesuffix("_high") for column in table]
    (tmp_path / "table.tex").write_text(latex(name, table, known))
    log = compiled(tmp_path, "table")
    assert "Overfull" not in log


def test_a_matrix_of_eighteen_models_compiles_alone_and_in_a_document(tmp_path):
    models = [f"inception_resnet_v2_{number}" for number in range(18)]
    own = pd.DataFrame({"model": models, "success_rate": 1.0, "n": 10})
    pairs = pd.DataFrame(
        [(a, b, 0.5) for a in models for b in models if a != b],
        columns=["source", "model", "released"],
    )
    matrix = tables.square(pairs, own, column="released").reset_index()
    text = latex("transfer_cw_random", matrix, ["source"] + ["released"] * 18)
    (tmp_path / "matrix.tex").write_text(text)
    assert "Overfull" not in compiled(tmp_path, "matrix")
    (tmp_path / "document.tex").write_text(
        "\\documentclass{article}\\usepackage{graphicx}\\begin{document}Before.\\input{matrix}After.\\end{document}\n"
    )
    compiled(tmp_path, "document")
