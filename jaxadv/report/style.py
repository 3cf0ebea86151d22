"""The style sheet of a page, from page.css beside this file."""

from pathlib import Path

STYLE = "\n" + (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
