"""Reads a list of labels: a name and a label per line, as spreadsheets or pandas write it.

labels.tsv and labels.csv may have a header, quotes, an index column and decimals ("5.0").
Semicolons or tabs may separate all columns, as spreadsheets of some countries write them. In
labels.txt the label follows the last space, so names may have spaces. Names may lack the suffix.
They may be in UTF-8, UTF-16 or Latin-1.

Kaggle's LOC_val_solution.csv lists all 50,000 images, and may therefore list pictures that are
missing. Any other list must name exactly the pictures beside it.
"""

import codecs
import csv
import difflib
import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxadv.data import wordnet
from model_ports.errors import InputError

LISTS = {"labels.tsv": "\t", "labels.csv": ",", "labels.txt": "", "LOC_val_solution.csv": ","}
"""The file names of lists, in the order of precedence, and the delimiter between name and label."""
KAGGLE = "LOC_val_solution.csv"
CLASSES = "classes.txt"
"""The list of classes that a folder may have, where they are not ImageNet's: a name on each line.
"""
MOST_BYTES = 2**26
"""The largest size of a list in bytes: about a thousand bytes for each of the 50,000 images."""
MOST_COLUMNS = 100
"""The most columns of a list. Each is compared with the names of all pictures."""
_NAME_HEADS = {
    "name",
    "file",
    "filename",
    "file_name",
    "image",
    "image_id",
    "imageid",
    "path",
    "picture",
    "id",
    "image_name",
}
_LABEL_HEADS = {
    "label",
    "class",
    "target",
    "class_id",
    "label_id",
    "y",
    "category",
    "wnid",
    "synset",
    "predictionstring",
}


def labels(path: Path, files: Sequence[Path], classes: Sequence[str] = ()) -> list[int]:
    """Read the labels of pictures from a list.

    Args:
        path: the list. Its file name is one of `LISTS`.
        files: the pictures.
        classes: names of the classes, in their order, where they are not ImageNet's.

    Returns:
        The class of each picture, 0..999; or its place among ``classes``.

    Raises:
        InputError: if a picture is not named exactly once, if the list names another picture, or
            if a label is wrong.
    """
    known = _Names(files)
    by_picture: dict[str, int] = {}
    for line, name, texts in _rows(path, known):
        where = f"{str(path)!r}, line {line}"
        label = _agreed(texts, classes, where)
        picture = known.find(name)
        if picture is None:
            if path.name == KAGGLE:
                continue
            raise InputError(
                f"{where}: no picture {name[:100]!r} beside it; put it there or remove the line"
            )
        if picture in by_picture:
            raise InputError(f"{where}: {picture!r} has a label already; remove one of the lines")
        by_picture[picture] = label
    missing = [file.name for file in files if file.name not in by_picture]
    if missing or not files:
        lacking = (
            f"no label for {missing[0]!r} ({len(missing)} of {len(files)} lack one)"
            if missing
            else ""
        )
        raise InputError(
            f"{str(path)!r}: {lacking or 'no pictures beside it'}; add a line with name and label "
            "for each picture"
        )
    return [by_picture[file.name] for file in files]


def _agreed(texts: Sequence[str], classes: Sequence[str], where: str) -> int:
    """The label of the first text. Raises InputError if a later one is another label."""

    def read(text: str) -> int:
        return of_class(text, classes, where) if classes else _label(text, where)

    label = read(texts[0])
    for text in texts[1:]:
        try:
            other = read(text)
        except InputError:  # such as the name of a class beside its number
            continue
        if other != label:
            raise InputError(
                f"{where}: labels {texts[0][:40]!r} and {text[:40]!r} in two columns; keep one of "
                "the columns"
            )
    return label


class _Names:
    """Finds pictures by the names that a list uses.

    Suffix and folder may be missing. Accents may be composed or decomposed.
    """

    def __init__(self, files: Sequence[Path]):
        self.any_latin = any(_is_latin(file.name) for file in files)
        self._by_name = {_composed(file.stem): file.name for file in files}
        self._by_name |= {_composed(file.name): file.name for file in files}

    def find(self, name: str) -> str | None:
        name = _composed(name)
        return self._by_name.get(name) or self._by_name.get(
            name.replace("\\", "/").rpartition("/")[2]
        )


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def _is_latin(name: str) -> bool:
    """True if a name in the file system is not UTF-8."""
    return any("\udc80" <= character <= "\udcff" for character in name)


def _rows(path: Path, known: _Names) -> Iterator[tuple[int, str, list[str]]]:
    """The line number, name and labels of each row, as the list has them. Several columns may be
    called a label.
    """
    lines = [
        (number, line)
        for number, line in enumerate(_text(path, known).splitlines(), 1)
        if line.strip() and not line.startswith("#")
    ]
    if path.suffix == ".txt":
        yield from _of_words(lines, known)
        return
    delimiter = _delimiter(LISTS[path.name], [line for _, line in lines])
    try:
        rows = [
            (number, [field.strip() for field in row])
            for number, line in lines
            for row in _split(line, delimiter)
        ]
    except csv.Error as error:
        raise InputError(
            f"{str(path)!r} cannot be read as a table ({error}); write a name and a label in each "
            "line"
        ) from error
    name_at, labels_at, has_head = _columns(path, rows, known)
    for number, row in rows[has_head:]:
        if not any(row):
            continue  # an empty line of a spreadsheet
        name, *texts = (row[at] if at < len(row) else "" for at in (name_at, *labels_at))
        yield number, name, texts


def _delimiter(usual: str, lines: Sequence[str]) -> str:
    """What stands between the columns: the usual, or another one that every line has where none has
    the usual.
    """
    if any(usual in line for line in lines):
        return usual
    return next(
        (other for other in "\t;," if lines and all(other in line for line in lines)), usual
    )


def _split(line: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader([line], delimiter=delimiter, skipinitialspace=True)


def _of_words(
    lines: Sequence[tuple[int, str]], known: _Names
) -> Iterator[tuple[int, str, list[str]]]:
    """The same for labels.txt: a name, which may have spaces, a space or tab, and a label."""
    for position, (number, line) in enumerate(lines):
        name, _, label = (
            line.strip().rpartition(" ") if "\t" not in line else line.strip().rpartition("\t")
        )
        if not name:
            name = label
            label = ""
        name = name.strip().strip("\"'")
        if position == 0 and known.find(name) is None and _is_head(name, label):
            continue
        yield number, name, [label]


def _columns(
    path: Path, rows: Sequence[tuple[int, list[str]]], known: _Names
) -> tuple[int, list[int], bool]:
    """The column of names, the columns of labels, and whether the first row is a header."""
    if not rows:
        return 0, [1], False
    first = [field.lower() for field in rows[0][1]]
    names = [at for at, field in enumerate(first) if field in _NAME_HEADS]
    kinds = [at for at, field in enumerate(first) if field in _LABEL_HEADS]
    if names and kinds:
        labels_at = [at for at in kinds if first[at] != "y"] or kinds  # y may be a coordinate
        return names[-1] if first[names[0]] == "id" else names[0], labels_at, True
    width = max(len(row) for _, row in rows)
    if width > MOST_COLUMNS:
        raise InputError(
            f"{str(path)!r} has {width} columns; at most {MOST_COLUMNS} are allowed: keep name and "
            "label alone"
        )
    has_head = (
        width > 1
        and all(re.fullmatch(r"[a-z_ ]*", field) for field in first)
        and not any(map(known.find, rows[0][1]))
    )
    body = [row for _, row in rows[has_head:]] or [[]]
    hits = [
        sum(at < len(row) and known.find(row[at]) is not None for row in body)
        for at in range(width)
    ]
    name_at = hits.index(max(hits)) if any(hits) else 0
    others = (
        [at for at in range(width) if at != name_at and not _is_index(body, at)]
        if width > 2
        else [1 - name_at]
    )
    if len(others) != 1:
        raise InputError(
            f"{str(path)!r} has {width} columns, and no header tells which is the label; "
            "keep name and label alone, or call the columns name and label"
        )
    return name_at, others, has_head


def _is_index(rows: Sequence[list[str]], at: int) -> bool:
    """True if a column counts the rows from 0 or 1, as pandas writes it."""
    values = [row[at] if at < len(row) else "" for row in rows]
    return values in (
        [str(number) for number in range(start, start + len(rows))] for start in (0, 1)
    )


def _is_head(name: str, label: str) -> bool:
    return all(re.fullmatch(r"[A-Za-z_]*", text) for text in (name, label)) and bool(label)


def _label(text: str, where: str) -> int:
    """Convert a label: a number 0..999, perhaps with decimals that are 0, or a WordNet id."""
    text = text.strip().strip("\"'")
    first = (text.split() or [""])[0]
    if wordnet.PATTERN.fullmatch(first):  # in Kaggle's list, boxes follow the id
        return wordnet.label(first, where=where)
    if re.fullmatch(r"[0-9]{1,6}(\.0*)?", text) and float(text) < wordnet.COUNT:
        return int(float(text))
    raise InputError(
        f"{where}: label {text[:40]!r}; it must be 0..999 in sorted WordNet order, or a WordNet id "
        "such as n01440764"
    )


def of_class(text: str, classes: Sequence[str], where: str) -> int:
    """The place of a class by its name, or by its number from 0 where no name is a number.

    Raises InputError.
    """
    if _is_latin(text):
        text = text.encode("utf-8", "surrogateescape").decode("latin-1")
    text = _composed(_composed(text).strip("\"'"))
    if text in classes:
        return classes.index(text)
    numbers = _have_numbers(tuple(classes))
    if not numbers and re.fullmatch(r"[0-9]{1,6}(\.0*)?", text) and float(text) < len(classes):
        return int(float(text))
    near = difflib.get_close_matches(text, classes, 1)
    hint = f", such as {near[0]!r}" if near else ""
    raise InputError(
        f"{where}: label {text[:40]!r}; a name of {CLASSES} is needed{hint}"
        + ("" if numbers else f", or a number below {len(classes)}")
    )


@functools.lru_cache(maxsize=1)
def _have_numbers(classes: tuple[str, ...]) -> bool:
    """Whether a name is a number, so that another number would not say which class it means."""
    return any(re.fullmatch(r"[0-9]+(\.0*)?", name) for name in classes)


def class_names(folder: Path) -> list[str]:
    """The names in a folder's list of classes, one a line; none where there is no such list.

    Raises InputError for a list of fewer than two, or with a name twice.
    """
    path = folder / CLASSES
    if not path.is_file():
        return []
    lines = [_composed(line) for line in _text(path, _Names([])).splitlines()]
    names = [line for line in lines if line]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice or len(names) < 2:
        wrong = f"{twice!r} stands there twice" if twice else f"it has {len(names)} names"
        raise InputError(f"{str(path)!r}: {wrong}; write the name of each class on a line")
    return names


def _text(path: Path, known: _Names) -> str:
    """The content of a list, decoded from UTF-8, UTF-16 or Latin-1."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                f"{str(path)!r} has {path.stat().st_size} bytes; a list of labels has "
                f"{MOST_BYTES} at most: is it one?"
            )
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {str(path)!r}: {error.strerror or error}; make it readable, or remove it"
        ) from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Names on disk may be Latin-1 bytes. Then the list is decoded as the names are.
        return (
            content.decode("utf-8", errors="surrogateescape")
            if known.any_latin
            else content.decode("latin-1")
        )
