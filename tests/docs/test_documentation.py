"""README and docs: every block of Python runs, every command runs as printed or is marked, every
link leads somewhere.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pytest
from absl.testing import flagsaver

from jaxadv.commands import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKS = (
    "needs: data",
    "needs: a connection",
    "needs: frameworks",
    "needs: keras",
    "needs: several hosts",
    "needs: an accelerator",
)
MARKS += ("run: minutes", "run: tests")
"""What a comment above a block may say. Such a block is parsed here, and not run."""


class Block(NamedTuple):
    page: str
    line: int
    language: str
    mark: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    pattern = r"(?:<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$"
    return [
        Block(
            page.name,
            text[: match.start()].count("\n") + 1,
            match["language"],
            match["mark"] or "",
            match["text"],
        )
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)
    ]


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a block; a line's end after a backslash goes on."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [shlex.split(part) for line in lines if line.strip() for part in line.split("&&")]


ALL = [block for page in PAGES for block in blocks(page)]
INSTALLED = ("pip", "pytest", "pre-commit")  # CI does these by itself


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flags").symlink_to(ROOT / "flags")
    matplotlib.use("agg")
    return tmp_path


def test_marks_are_known_and_blocks_are_found():
    assert {block.mark for block in ALL} <= {"", *MARKS}
    assert len([block for block in ALL if block.language == "python"]) >= 8
    assert {block.language for block in ALL} <= {"python", "sh", "text"}


WITH_PYTHON = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_what_a_page_shows_runs_in_its_order(page, somewhere):
    """Python blocks share one namespace a page; commands run in the same folder."""
    names: dict = {"__name__": "documentation"}
    for block in blocks(page):
        if block.language == "python" and block.mark not in (
            "needs: frameworks",
            "needs: keras",
        ):  # tests/foreign runs these
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
        elif block.language == "sh" and not block.mark:
            for words in commands(block):
                if (
                    words[:2] != ["pip", "install"]
                    and words[0] not in INSTALLED
                    and len(words) > 1
                    and words[:2] != ["python", "run.py"]
                ):
                    run(words)


def run(words: list[str]) -> None:
    assert words[0] == "jaxadv", words
    with flagsaver.flagsaver():
        cli.main(cli.parse([*words, "--noprogress"]))


PARSED = [block for block in ALL if block.language == "sh"]


@pytest.mark.parametrize("block", PARSED, ids=lambda block: f"{block.page}:{block.line}")
def test_every_command_has_flags_that_are_there(block, somewhere):
    for words in commands(block):
        if words[0] == "jaxadv" or words[:2] == ["python", "run.py"]:
            with flagsaver.flagsaver():
                cli.parse(words if words[0] == "jaxadv" else words[1:])
        else:
            assert words[0] in INSTALLED, words


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [
        block
        for block in PARSED
        if not block.mark and block.page in ("command_line.md", "getting_started.md")
    ],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_commands_of_pages_without_python_run(block, somewhere):
    for words in commands(block):
        if words[0] == "jaxadv" and len(words) > 1:
            run(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for text, target in re.findall(r"\[([^\]]*)\]\(([^)]+)\)", page.read_text()):
        place = target.partition("#")[0]
        assert place.startswith("https://") or (page.parent / place).exists(), (text, target)


def test_a_flagfile_of_the_package_is_found_from_anywhere(tmp_path, monkeypatch):
    """Where no such file lies in the working folder; one that does goes first."""
    monkeypatch.chdir(tmp_path)
    for place in ("paper/fig4.flags", "flags/paper/fig4.flags"):
        with flagsaver.flagsaver():
            cli.parse(["jaxadv", f"--flagfile={place}"])
            assert cli.flags.FLAGS.attacks == ["ifgsm"]
    (tmp_path / "paper").mkdir()
    shutil.copy(ROOT / "flags" / "paper" / "fig3.flags", tmp_path / "paper" / "fig4.flags")
    with flagsaver.flagsaver():
        cli.parse(["jaxadv", "--flagfile=paper/fig4.flags"])
        assert cli.flags.FLAGS.attacks == ["fgsm"]
