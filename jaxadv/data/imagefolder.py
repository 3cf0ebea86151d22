"""Pictures in a folder, in one of the forms in which ImageNet is kept:

* a list of labels in it, which comes first: labels.tsv, labels.csv or labels.txt with a name and a label in each line, or the
  LOC_val_solution.csv of Kaggle's copy. Names may lack the suffix; labels are 0..999 in sorted WordNet order, or WordNet ids;
* the study's names, LABEL.NNNNNNNN.jpg with the label 1..1000 and the number of the validation image;
* the published names, ILSVRC2012_val_NNNNNNNN.JPEG, whose labels are known: neither the development kit's ground truth, which counts
  in another order, nor its meta.mat is read;
* a folder for each class, named by its WordNet id; some of the 1000 will do.

Other files (of other suffixes, or hidden) are left alone.
"""

import re
from pathlib import Path
from typing import TypeVar

import numpy as np

from jaxadv.data import pictures, validation, wordnet
from jaxadv.data.source import Source, fingerprint
from model_ports.errors import InputError

T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LISTS = {"labels.tsv": "\t", "labels.csv": ",", "labels.txt": None, "LOC_val_solution.csv": ","}  # name: between name and label
FORMS = (
    f"a list of labels ({', '.join(LISTS)}), names LABEL.NNNNNNNN.jpg with LABEL 1..1000, names ILSVRC2012_val_NNNNNNNN.JPEG, "
    "or class folders named by WordNet ids"
)


def open_folder(folder: str, *, name: str) -> Source:
    """The pictures of a folder, in the order of their names. Raises InputError where its form is none of the above."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"data {name!r}: no folder {folder!r}; give a folder with {FORMS}")
    listed = next((root / file for file in LISTS if (root / file).is_file()), None)
    files = _pictures(root)
    if listed:
        labels = _listed(listed, files)
    elif renamed := _all_or_none([_renamed(file) for file in files]):
        labels = [label - 1 for label, _ in renamed]
        if not all(0 <= label < wordnet.COUNT for label in labels):
            wrong = next(file for file, label in zip(files, labels, strict=True) if not 0 <= label < wordnet.COUNT)
            raise InputError(f"{str(wrong)!r}: the label in front of the first dot must be 1..1000 (0 would be the background); rename it")
    elif numbers := _all_or_none([validation.number(file.name) for file in files]):
        labels = validation.labels()[np.array(numbers) - 1]
    elif not files:
        files, labels = _class_folders(root, name)
    else:
        odd = next(file.name for file in files if not _renamed(file) and not validation.number(file.name))
        raise InputError(f"data {name!r}: no label for {odd!r}; the folder must have {FORMS}")
    return _source(root, files, np.asarray(labels, np.int32), name)


def _all_or_none(values: list[T | None]) -> list[T]:
    """The values if all are there, else none of them."""
    there = [value for value in values if value is not None]
    return there if len(there) == len(values) else []


def _source(root: Path, files: list[Path], labels: np.ndarray, name: str) -> Source:
    names = [file.relative_to(root).as_posix() for file in files]
    for file, label in zip(names, labels, strict=True):
        _check_wordnet_id(file, int(label), name)
    numbers = [validation.number(file.name) or (_renamed(file) or (0, 0))[1] for file in files]
    known = all(1 <= number <= validation.COUNT for number in numbers)
    ids = np.array(numbers if known else range(len(files)), np.int64)
    if known:
        twice = ids[np.flatnonzero(np.bincount(ids)[ids] > 1)]
        if len(twice):
            raise InputError(f"data {name!r}: validation image {twice[0]} is there twice; keep one")
        validation.check(ids, labels, where=f"data {name!r}")
    return Source(
        name=name,
        ids=ids,
        labels=labels,
        names=names,
        num_classes=wordnet.COUNT,
        fingerprint=fingerprint(names, [file.stat().st_size for file in files], labels.tolist()),
        draw=lambda index, size, reading: pictures.decode(files[index], size, reading),
        validation=known,
    )


def _pictures(folder: Path) -> list[Path]:
    """The pictures right in a folder, in the order of their names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.name[0] != ".")


def _renamed(file: Path) -> tuple[int, int] | None:
    """The study's label, 1..1000, and the image's number."""
    found = validation.RENAMED.fullmatch(file.name)
    return (int(found[1]), int(found[2])) if found else None


def _class_folders(root: Path, name: str) -> tuple[list[Path], list[int]]:
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and folder.name[0] != ".")
    odd = next((folder.name for folder in folders if not wordnet.PATTERN.fullmatch(folder.name)), None)
    if odd is not None or not folders:
        found = f"the folder {odd!r} is none of a class" if odd else "it has no pictures"
        raise InputError(f"data {name!r}: {found}; it must have {FORMS}")
    files, labels = [], []
    for folder in folders:
        inside = _pictures(folder)
        files += inside
        labels += [wordnet.label(folder.name, where=f"data {name!r}")] * len(inside)
    if not files:
        raise InputError(f"data {name!r}: its class folders have no pictures ({', '.join(SUFFIXES)}); put some there")
    return files, labels


def _listed(path: Path, files: list[Path]) -> list[int]:
    """The labels of the files by a list. Raises InputError unless it has every file once, and no other."""
    by_stem = {file.stem: file.name for file in files}
    names = {file.name for file in files}
    labels: dict[str, int] = {}
    for line, text in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), 1):
        fields = [field.strip() for field in text.strip().split(LISTS[path.name])]
        if not text.strip() or text.startswith("#"):
            continue
        label = _label(fields[1].split()[0] if len(fields) > 1 and fields[1] else "", f"{str(path)!r}, line {line}", header=line == 1)
        if label is None:
            continue
        name = fields[0] if fields[0] in names else by_stem.get(fields[0])
        if name is None:
            raise InputError(f"{str(path)!r}, line {line}: no picture {fields[0]!r} beside it; put it there or remove the line")
        if name in labels:
            raise InputError(f"{str(path)!r}, line {line}: {name!r} has a label already; remove one of the lines")
        labels[name] = label
    missing = [file.name for file in files if file.name not in labels]
    if missing or not files:
        what = f"no label for {missing[0]!r} ({len(missing)} of {len(files)} lack one)" if missing else "no pictures beside it"
        raise InputError(f"{str(path)!r}: {what}; add a line with name and label for each picture")
    return [labels[file.name] for file in files]


def _label(text: str, where: str, *, header: bool) -> int | None:
    """0..999 from a number or a WordNet id; None for the words of a header."""
    if wordnet.PATTERN.fullmatch(text):
        return wordnet.label(text, where=where)
    if re.fullmatch(r"\d+", text) and int(text) < wordnet.COUNT:
        return int(text)
    if header and re.fullmatch(r"[A-Za-z_]+", text):
        return None
    raise InputError(f"{where}: label {text!r}; it must be 0..999 in sorted WordNet order, or a WordNet id such as n01440764")


def _check_wordnet_id(file: str, label: int, name: str) -> None:
    """A WordNet id in front of a name (n01558993_robin.JPEG, or its folder) must be that of the label. Raises InputError."""
    found = wordnet.PATTERN.match(file)
    if found and found[0] in wordnet.classes() and wordnet.classes()[found[0]] != label:
        raise InputError(
            f"data {name!r}: label {label} of {file!r}; {found[0]} is class {wordnet.classes()[found[0]]} in sorted WordNet order from 0: "
            "correct the list of labels"
        )
