"""Parquet files of pictures, as Hugging Face's hub has them: a column of encoded pictures and one
of labels, in one file or several of a split.

A row group is read at a time, when one of its pictures is asked for. Checksums of pages are
compared where a file has them.
"""

import contextlib
import functools
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxadv.data import pictures, wordnet
from jaxadv.data.source import MOST_CLASSES, Source, fingerprint
from jaxadv.support import places
from jaxadv.support.files import UNREADABLE
from model_ports.errors import InputError, said, unknown

IMAGES = ("image", "img", "picture", "jpg", "png")
LABELS = ("label", "labels", "fine_label", "class", "target", "cls")
"""Columns, in the order in which they are looked for."""
USUAL_SPLITS = ("validation", "val", "test")
GROUPS = 4
"""Row groups in memory at a time; one has 100 to 1000 pictures."""
_SHARD = re.compile(r"(.+?)-(\d+)-of-(\d+)(-[0-9a-f]+)?")
_DAMAGED = (*UNREADABLE, pa.ArrowException)


def open_parquet(what: str, *, name: str) -> Source:
    """The pictures of a file, or of a folder with the files of one split or several.

    Args:
        what: FILE, DIR or DIR/SPLIT. Files of a split are called SPLIT.parquet, or
            SPLIT-00000-of-00003.parquet. Of several splits validation, else test, if none is given.
        name: as given, for messages and the manifest.

    Raises:
        InputError: there are no such files, they are not one whole split, they are damaged, or they
            lack a column of pictures or of labels.
    """
    files, root = _files(places.place("--data", what), name)
    shards = [_opened(file, name) for file in files]
    schema = shards[0].schema
    image, label = (_column(schema, wanted, name) for wanted in (IMAGES, LABELS))
    for file, shard in zip(files, shards, strict=True):
        for same, what_differs in (
            (shard.schema.names == schema.names, "columns"),
            (_classes(shard.schema, label) == _classes(schema, label), "names of classes"),
        ):
            if not same:
                raise InputError(
                    f"data {name!r}: {file.name!r} has other {what_differs} than "
                    f"{files[0].name!r}; name the folder of one data set"
                )
        _check_pictures(shard.schema.field(image), file, name)
    labels, shown = _labels(files, shards, label, name), _names(files, shards, image, name)
    if labels.max(initial=0) >= MOST_CLASSES:
        raise InputError(
            f"data {name!r}: column {label!r} has the label {labels.max()}; labels below "
            f"{MOST_CLASSES} are allowed: number the classes from 0"
        )
    classes = _classes(schema, label) or [str(c) for c in range(int(labels.max(initial=-1)) + 1)]
    if not len(labels) or labels.min() < 0 or labels.max() >= len(classes):
        wrong = "no rows" if not len(labels) else "rows without a label"
        raise InputError(f"data {name!r}: {wrong} in {what!r}; choose another split")
    if all(wordnet.PATTERN.fullmatch(each) for each in classes):
        known = [wordnet.label(each, where=f"data {name!r}") for each in classes]
        labels, count = np.array(known, np.int32)[labels], wordnet.COUNT
    else:
        count = len(classes)
    bytes_of = _reader(shards, image)
    facts = [[file.relative_to(root).as_posix(), file.stat().st_size] for file in files]
    return Source(
        name=name,
        ids=np.arange(len(labels), dtype=np.int64),
        labels=labels.astype(np.int32),
        names=shown,
        num_classes=count,
        fingerprint=fingerprint(facts, shown, labels.tolist(), classes),
        draw=lambda index, size, reading: pictures.decode(bytes_of(index), size, reading),
        content=bytes_of,
    )


def _files(place: Path, name: str) -> tuple[list[Path], Path]:
    """The files of one split, in order, and their folder. Raises InputError."""
    if place.is_file():
        return [place], place.parent
    folder, split = (place, None) if place.is_dir() else (place.parent, place.name)
    files = _listing(folder) or _listing(folder / "data")
    if not files:
        raise InputError(
            f"data {name!r}: no .parquet files in {str(folder)!r}; give a file, or a folder of them"
        )
    splits: dict[str, list[Path]] = {}
    for file in files:
        shard = _SHARD.fullmatch(file.stem)
        splits.setdefault(shard[1] if shard else file.stem, []).append(file)
    if split is None:
        usual = [each for each in USUAL_SPLITS if each in splits]
        split = next(iter(splits)) if len(splits) == 1 else (usual or [""])[0]
    if split not in splits:
        raise unknown("split", split, splits)
    _check_whole(splits[split], name)
    return splits[split], files[0].parent


def _check_whole(files: Sequence[Path], name: str) -> None:
    """Raise InputError unless the files of a split are all there, each once."""
    shards = [match for file in files if (match := _SHARD.fullmatch(file.stem))]
    if len(shards) < len(files):  # the split is one file without numbers
        return
    numbers, counts = ([int(shard[group]) for shard in shards] for group in (2, 3))
    for file, number in zip(files, numbers, strict=True):
        if numbers.count(number) > 1:
            raise InputError(f"data {name!r}: {file.name!r} has a second version; keep one")
    if {*counts} != {len(files)} or {*numbers} != {*range(len(files))}:
        raise InputError(
            f"data {name!r}: there are {len(files)} of {max(counts)} files of the split "
            f"{shards[0][1]!r}; download the others"
        )


def _listing(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet")) if folder.is_dir() else []


def _opened(file: Path, name: str) -> Any:
    with _reading(file, name):
        shard = pq.ParquetFile(file, page_checksum_verification=True)
        return _Shard(shard, shard.schema_arrow)


@contextlib.contextmanager
def _reading(file: Path, name: str) -> Iterator[None]:
    """Turn whatever a damaged file raises into InputError."""
    try:
        yield
    except _DAMAGED as error:
        raise InputError(
            f"data {name!r}: {file.name!r} cannot be read ({said(error)}); download it again"
        ) from error


class _Shard(NamedTuple):
    file: Any  # pyarrow.parquet.ParquetFile
    schema: pa.Schema


def _column(schema: pa.Schema, wanted: Sequence[str], name: str) -> str:
    for column in wanted:
        if schema.names.count(column) > 1:
            raise InputError(f"data {name!r}: two columns are called {column!r}; rename one")
        if column in schema.names:
            return column
    raise InputError(
        f"data {name!r}: its columns are {', '.join(schema.names)}; one of {', '.join(wanted)} is "
        "needed"
    )


def _check_pictures(column: pa.Field, file: Path, name: str) -> None:
    """Raise InputError unless a column has the bytes of pictures."""
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        kind = kind.field("bytes").type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not any(
        test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_null)
    ):
        raise InputError(
            f"data {name!r}: column {column.name!r} of {file.name!r} has {column.type}; the bytes "
            "of encoded pictures are needed"
        )


def _labels(files: Sequence[Path], shards: Sequence[_Shard], column: str, name: str) -> np.ndarray:
    parts = []
    for file, shard in zip(files, shards, strict=True):
        with _reading(file, name):
            read = shard.file.read([column])[column]
        if not pa.types.is_integer(read.type) or read.null_count:
            raise InputError(
                f"data {name!r}: column {column!r} of {file.name!r} has {read.type}"
                f"{' with gaps' if read.null_count else ''}; a whole number for each picture is "
                "needed"
            )
        with _reading(file, name):
            parts.append(read.cast(pa.int64()).to_numpy())
    return np.concatenate(parts)


def _names(files: Sequence[Path], shards: Sequence[_Shard], column: str, name: str) -> list[str]:
    """What a picture is called in messages: its path, where the file has that, else its row."""
    names: list[str] = []
    for file, shard in zip(files, shards, strict=True):
        kind = shard.schema.field(column).type
        paths: Sequence[Any] = [None] * shard.file.metadata.num_rows
        if pa.types.is_struct(kind) and kind.get_field_index("path") >= 0:
            with _reading(file, name):
                read = shard.file.read([f"{column}.path"])[column].combine_chunks()
                paths = read.field("path").to_pylist()
        names += [str(path or f"{file.name} row {row}") for row, path in enumerate(paths)]
    return names


def _classes(schema: pa.Schema, label: str) -> list[str]:
    """The names of the classes, in order, as Hugging Face's datasets writes them; none
    elsewhere.
    """
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])
        names = told["info"]["features"][label]["names"]
        if isinstance(names, dict):  # {"0": "airplane", ...}
            names = [names[key] for key in sorted(names, key=int)]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return [str(each) for each in names] if isinstance(names, list) else []


def _reader(shards: Sequence[_Shard], column: str) -> Callable[[int], bytes]:
    """The bytes of the picture of a row, counted over all files.

    Raises Unusable for an empty one, and for those of a damaged row group.
    """
    counts: list[int] = []
    where: list[tuple[int, int]] = []  # file and row group
    for number, shard in enumerate(shards):
        for group in range(shard.file.metadata.num_row_groups):
            counts.append(shard.file.metadata.row_group(group).num_rows)
            where.append((number, group))
    ends = np.cumsum(counts)
    lock = threading.Lock()

    @functools.lru_cache(maxsize=GROUPS)
    def read(place: int) -> Any:
        number, group = where[place]
        rows = shards[number].file.read_row_group(group, [column])[column].combine_chunks()
        return rows.field("bytes") if pa.types.is_struct(rows.type) else rows

    def bytes_of(index: int) -> bytes:
        place = int(np.searchsorted(ends, index, side="right"))
        try:
            with lock:  # several threads ask
                rows = read(place)
            found = rows[index - int(ends[place]) + counts[place]].as_py()
        except _DAMAGED as error:
            raise pictures.Unusable(f"unreadable ({said(error)})") from error
        if not isinstance(found, bytes):
            raise pictures.Unusable("unreadable (no bytes of a picture)")
        return found

    return bytes_of
