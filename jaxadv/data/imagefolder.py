"""Opens a folder of pictures, in one of the layouts that are usual for ImageNet.

* A list of labels, which takes precedence over the other layouts; see `jaxadv.data.label_list`.
  Labels are 0..999 in sorted WordNet order, or WordNet ids.
* The study's names, LABEL.NNNNNNNN.jpg, with the label 1..1000 and the number of the validation image.
* The published names, ILSVRC2012_val_NNNNNNNN.JPEG. Their labels are known. The development kit's
  ground truth, which numbers classes otherwise, and its meta.mat are not read.
* A folder for each class. Its name is the WordNet id, or the number 0..999 (or 000..999) in sorted
  WordNet order. Some of the 1000 folders are enough.
* Class folders of any other names, as torchvision's ImageFolder reads them. Their classes are
  0, 1, ... in the order of the names.

A list classes.txt, with the name of a class on each line, says that the classes are not ImageNet's.
Class folders and lists of labels then have these names, or their numbers from 0.

Files with other suffixes and hidden files are ignored. A warning tells of pictures among them, and
of folders that are not read. A name that is not UTF-8 is shown with
escaped bytes, as "caf\\xe9.jpg".
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from jaxadv.data import label_list, pictures, validation, wordnet
from jaxadv.data.label_list import CLASSES, LISTS
from jaxadv.data.source import Source, fingerprint
from jaxadv.support import log, places
from model_ports.errors import InputError

T = TypeVar("T")

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
UNREAD = (
    *(".jfif", ".jpe", ".jp2", ".jxl", ".heic", ".heif", ".avif"),
    *(".ppm", ".pgm", ".pnm", ".tga", ".psd"),
)
"""Suffixes of pictures that are not read. A warning counts such files."""
FORMS = (
    f"a list of labels ({', '.join(LISTS)}), names LABEL.NNNNNNNN.jpg with LABEL 1..1000, names "
    "ILSVRC2012_val_NNNNNNNN.JPEG, or class folders named by WordNet ids, by numbers 0..999, or by "
    "names that classes.txt may list"
)


def open_folder(folder: str, *, name: str) -> Source:
    """Open a folder as a source. The pictures are in the order of their names.

    Args:
        folder: the folder.
        name: what messages and the manifest call the source.

    Raises:
        InputError: if the folder has none of the layouts above, or a label is wrong.
    """
    root = places.place("--data", folder)
    if not root.is_dir():
        raise InputError(f"data {name!r}: no folder {folder!r}; give a folder with {FORMS}")
    _check_lists(root)
    listed = next((root / file for file in LISTS if (root / file).is_file()), None)
    files, classes = _pictures(root), label_list.class_names(root)
    if files:
        _tell_unread([root], name)
    if listed:
        labels = label_list.labels(listed, files, classes)
    elif not files:
        files, labels, classes = _class_folders(root, name, classes)
    elif renamed := _all_or_none([_renamed(file) for file in files]):
        labels = [label - 1 for label, _ in renamed]
        if not all(0 <= label < wordnet.COUNT for label in labels):
            wrong = next(
                file
                for file, label in zip(files, labels, strict=True)
                if not 0 <= label < wordnet.COUNT
            )
            raise InputError(
                f"{str(wrong)!r}: the label in front of the first dot must be 1..1000 (0 would "
                "be the background); rename it"
            )
    elif numbers := _all_or_none([validation.number(file.name) for file in files]):
        labels = validation.labels()[np.array(numbers) - 1]
    else:
        odd = next(
            file.name for file in files if not _renamed(file) and not validation.number(file.name)
        )
        raise InputError(f"data {name!r}: no label for {odd!r}; the folder must have {FORMS}")
    return _source(root, files, np.asarray(labels, np.int32), name, classes)


def _check_lists(root: Path) -> None:
    """Raise InputError for a list that would be ignored: it is no file, or has capital letters."""
    for path in sorted(_listing(root)):
        usual = next((n for n in (*LISTS, CLASSES) if n.lower() == path.name.lower()), None)
        if usual and path.name != usual:
            raise InputError(f"{_shown(str(path))!r} is read if it is called {usual!r}; rename it")
        if usual and not path.is_file():
            raise InputError(
                f"{_shown(str(path))!r} is {_no_file(path)}; put it there or remove it"
            )


def _no_file(path: Path) -> str:
    return "a link to a file that is not there" if path.is_symlink() else "no file"


def _tell_unread(folders: Iterable[Path], name: str) -> None:
    """Warn of pictures with other suffixes, and of folders, in the folders that are read."""
    inside, others = [], []
    for folder in folders:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                if entry.is_dir():
                    inside.append(entry.path)
                elif entry.name.lower().endswith(UNREAD):
                    others.append(entry.path)
    for paths, what in ((inside, "folders inside"), (others, "pictures with other suffixes")):
        if paths:
            log.warn(
                f"data {name!r}: {what} are not read; there are {len(paths)}, such as "
                f"{_shown(min(paths))!r}"
            )


def _all_or_none(values: list[T | None]) -> list[T]:
    """The values without None; an empty list if any value is None."""
    present = [value for value in values if value is not None]
    return present if len(present) == len(values) else []


def _source(
    root: Path, files: list[Path], labels: np.ndarray, name: str, classes: list[str]
) -> Source:
    """``classes``: their names, where they are not ImageNet's."""
    names = [_shown(file.relative_to(root).as_posix()) for file in files]
    for file, label in zip(names, labels, strict=True):
        if not classes:
            _check_wordnet_id(file, int(label), name)
    numbers = [validation.number(file.name) or (_renamed(file) or (0, 0))[1] for file in files]
    known = not classes and all(1 <= number <= validation.COUNT for number in numbers)
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
        num_classes=len(classes) or wordnet.COUNT,
        fingerprint=fingerprint(
            names, [file.stat().st_size for file in files], labels.tolist(), *map(_shown, classes)
        ),
        draw=lambda index, size, reading: pictures.decode(files[index], size, reading),
        validation=known,
        content=lambda index: pictures.content(files[index]),
        stamp=lambda index: _stamp(files[index]),
    )


def _stamp(file: Path) -> list[int]:
    """The size and the times of a file; an empty list if it is not accessible."""
    try:
        state = file.stat()
    except OSError:
        return []
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _pictures(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in the order of their names. A broken link is an error."""
    files = sorted(
        file for file in _listing(folder) if file.suffix.lower() in SUFFIXES and file.name[0] != "."
    )
    for file in files:
        if not file.is_file():
            raise InputError(
                f"{_shown(str(file))!r} is {_no_file(file)}; put the picture there, or remove it"
            )
    return files


def _listing(folder: Path) -> list[Path]:
    """The entries of a folder."""
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"cannot read the folder {_shown(str(folder))!r}: {error.strerror or error}; make it "
            "readable"
        ) from error


def _shown(name: str) -> str:
    """Escape bytes of a name that are not UTF-8, so that rows, JSON and terminals can hold it."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _renamed(file: Path) -> tuple[int, int] | None:
    """The study's label, 1..1000, and the number of the image; None for another kind of name."""
    match = validation.RENAMED.fullmatch(file.name)
    return (int(match[1]), int(match[2])) if match else None


def _class_folders(
    root: Path, name: str, listed: list[str]
) -> tuple[list[Path], list[int], list[str]]:
    """The pictures of class folders, their classes, and the names of these where they are not
    ImageNet's.
    """
    folders = sorted(
        folder for folder in _listing(root) if folder.is_dir() and folder.name[0] != "."
    )
    classes, names = _classes(root, folders, name, listed)
    files, labels, empty = [], [], []
    for folder in folders:
        inside = _pictures(folder)
        files += inside
        labels += [classes[folder]] * len(inside)
        empty += [] if inside else [folder.name]
    if not files or (empty and names and not listed):
        where = f"the class folder {_shown(empty[0])!r} has" if files else "its class folders have"
        raise InputError(
            f"data {name!r}: {where} no pictures ({', '.join(SUFFIXES)}); put some there"
        )
    _tell_unread(folders, name)
    return files, labels, names


def _classes(
    root: Path, folders: list[Path], name: str, listed: list[str]
) -> tuple[dict[Path, int], list[str]]:
    """The class of each folder, and the names of all classes where they are not ImageNet's.

    Raises InputError.
    """
    where = f"data {name!r}"
    if listed and folders:
        found = {folder: label_list.of_class(folder.name, listed, where) for folder in folders}
        if len(set(found.values())) < len(found):
            raise InputError(f"{where}: two folders are of one class; keep one")
        return found, listed
    if numbered := _numbered(folders, name):
        return numbered, []
    is_id = [bool(wordnet.PATTERN.fullmatch(folder.name)) for folder in folders]
    if folders and all(is_id):
        return {folder: wordnet.label(folder.name, where=where) for folder in folders}, []
    odd = next((f.name for f, known in zip(folders, is_id, strict=True) if not known), None)
    mixed = any(is_id) or any(folder.name.isdigit() for folder in folders)
    if odd is None or mixed or len(folders) < 2:
        what = f"the folder {_shown(odd)!r} is none of a class" if odd else "it has no pictures"
        raise InputError(f"{where}: {what}; it must have {FORMS}")
    return {folder: at for at, folder in enumerate(folders)}, [folder.name for folder in folders]


def _numbered(folders: list[Path], name: str) -> dict[Path, int]:
    """The class of each folder if numbers name all of them, else an empty dictionary."""
    if not folders or not all(re.fullmatch(r"[0-9]{1,6}", folder.name) for folder in folders):
        return {}
    classes = {folder: int(folder.name) for folder in folders}
    where = f"data {name!r}: its class folders are named by numbers"
    if (largest := max(classes.values())) >= wordnet.COUNT:
        from_one = 0 not in classes.values() and largest == wordnet.COUNT
        why = "which begin with 1" if from_one else f"and {largest} is none"
        raise InputError(f"{where}, {why}; classes are 0..999 in sorted WordNet order: rename them")
    if len(set(classes.values())) < len(classes):
        twice = next(
            folder for folder in folders if list(classes.values()).count(classes[folder]) > 1
        )
        raise InputError(
            f"{where}, and class {classes[twice]} has two ({_shown(twice.name)!r} and another); "
            "keep one"
        )
    if 0 not in classes.values():
        log.warn(
            f"{where}, and none is 0: they are read as classes "
            f"{min(classes.values())}..{largest} in sorted WordNet order from 0"
        )
    return classes


def _check_wordnet_id(file: str, label: int, name: str) -> None:
    """Check the label of a picture whose file or folder name begins with a WordNet id.

    n01558993_robin.JPEG is such a name.
    """
    match = wordnet.PATTERN.match(file)
    if match and match[0] in wordnet.classes() and wordnet.classes()[match[0]] != label:
        raise InputError(
            f"data {name!r}: label {label} of {file!r}; {match[0]} is class "
            f"{wordnet.classes()[match[0]]} in sorted WordNet order from 0: "
            "correct the list of labels"
        )
