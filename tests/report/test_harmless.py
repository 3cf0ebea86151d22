"""Text of others, in whatever the tables are written as, is text alone."""

import csv
import io
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from jaxadv.report import latex, tables

FORMULAS = [
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "\n=1",
    " =1",
    "\u00a0=1",
    "=1+1",
    "+SUM(A1)",
    "-2+3",
    "@cmd",
    "\t=1",
    "\r=1",
    '=HYPERLINK("http://x","y")',
]
MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![seen](http://x/y.png)",
    "[click](javascript:alert(1))",
    "&lt;b&gt;",
    "&#60;b>",
    "a\\](b",
]


def rows(text: str) -> pd.DataFrame:
    return pd.DataFrame({"model": [text], "n": [-3], "success_rate": [0.5]})


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_is_a_formula(tmp_path, text):
    columns = latex.PRINTED["accuracy"][1:]
    table = rows(text).assign(**dict.fromkeys(columns, 0.5))
    tables.write(tmp_path, {"accuracy": table})
    _, line = csv.reader(io.StringIO((tmp_path / "accuracy.csv").read_bytes().decode()))
    told = "'" + text.replace("\r", " ")
    assert line[0] == told and line[1] == "-3"  # numbers stay numbers
    head = tables.inert(pd.DataFrame({text: [1.5]}))
    assert list(head) == [told]


def test_ordinary_text_stays_as_it_is():
    table = pd.DataFrame({"model": ["vgg_16", "a=b", "", None], "n": [-1, 2, 3, 4]})
    pd.testing.assert_frame_equal(tables.inert(table), table)
    assert "C&W at 5 < 6 [0.1, 0.2]".replace("<", "&lt;") in tables.markdown(
        rows("C&W at 5 < 6 [0.1, 0.2]"), ["model", "n", "success_rate"]
    )


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_has_no_markup_of_others(text):
    made = tables.markdown(rows(text), ["model", "n", "success_rate"])
    assert "<" not in made and "](" not in made
    if "&" in text:
        assert not re.search(r"&(?!lt;|amp;)#?\w+;", made)


@pytest.mark.parametrize(
    "text", [r"\input{/etc/passwd}", "$\\write18{ls}$", "a%b}{", "~^_#&", "\\end{document}"]
)
def test_latex_has_no_commands_of_others(text):
    known = ("textbackslash", "textasciitilde", "textasciicircum")
    rest = latex.escape(text)
    for name in known:
        rest = rest.replace(f"\\{name}{{}}", "")
    assert not re.search(r"\\[A-Za-z]", rest) and not re.search(r"(?<!\\)[$#&_%]", rest)


def test_dependencies_have_upper_bounds():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [
        *project["dependencies"],
        *(one for name in ("tf", "keras", "torch", "tfds") for one in extras[name]),
    ]
    assert len(needed) > 15 and all("<" in one or "==" in one for one in needed)
