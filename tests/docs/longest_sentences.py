"""The longest sentences that a person reads: README, docs, docstrings, comments and messages.

python tests/docs/longest_sentences.py [COUNT]
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST = 28
"""Words that a sentence may have."""
COMMON = {"the", "a", "an", "of", "is", "are", "to", "and", "in", "it", "that", "with"}
"""A sentence has one of these; lists of names have not."""
CODE = re.compile(r"[{}\\]")  # style sheets, LaTeX and the like


def main(count: int) -> None:
    """Print the longest ``count`` sentences, with their words and places."""
    for words, place, sentence in sorted(sentences(), reverse=True)[:count]:
        print(f"{words:3} {place}: {sentence}")


def sentences() -> Iterator[tuple[int, str, str]]:
    """The number of words, the place and the text of every sentence."""
    for path in sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")):
        text = re.sub(r"```.*?```|<!--.*?-->", "", path.read_text(), flags=re.DOTALL)
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[*|#]|\d+\.))", text):
            if "|" not in paragraph:
                yield from _of(paragraph, str(path.relative_to(ROOT)))
    for room in ("jaxadv", "model_ports"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if "flags" not in path.relative_to(ROOT).parts:
                yield from _of_code(path)


def _of_code(path: Path) -> Iterator[tuple[int, str, str]]:
    place, source = str(path.relative_to(ROOT)), path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:\*|>>>|[\w, ]+: ))", node.value):
                yield from _of(paragraph, f"{place}:{node.lineno}")
    comment, line = "", 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comment += token.string.lstrip("#")
            line = token.start[0]
        elif token.type not in (tokenize.NL, tokenize.NEWLINE) and comment:
            yield from _of(comment, f"{place}:{line}")
            comment = ""


def _of(paragraph: str, place: str) -> Iterator[tuple[int, str, str]]:
    """The sentences of a paragraph: a full stop, a colon or a semicolon ends one."""
    plain = " ".join(re.sub(r"`[^`]*`", "x", paragraph).split())
    for sentence in re.split(r"(?<=[.:;?!])\s+", plain):
        words = re.findall(r"[A-Za-z][A-Za-z'-]+", sentence)
        if (
            len(words) > 3
            and not COMMON.isdisjoint(word.lower() for word in words)
            and not CODE.search(sentence)
        ):
            yield len(words), place, sentence[:300]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
