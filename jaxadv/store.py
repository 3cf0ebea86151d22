"""What a run leaves on disk: rows, one per attempt, in parts that appear whole or not at all, and a manifest.

A table or figure is a view of the rows and is remade from them; nothing here needs JAX.
"""

import json
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model_ports.errors import InputError, unknown

# Each kind of row: its columns and their types. Classes are 0..K-1; pixels have range 1.
KINDS: dict[str, dict[str, str]] = {
    # What a model makes of a clean image.
    "clean": {
        "model": "str",
        "image_id": "int64",
        "label": "int32",
        "predicted": "int32",
        "top5": "bool",  # the label is among the five largest outputs
    },
    # One attempt to fool a model.
    "examples": {
        "model": "str",
        "attack": "str",  # fgsm, ifgsm, ifgsm_search, cw, ead
        "setting": "str",  # e.g. "eps=0.1"; several are comma separated
        "target_kind": "str",  # untargeted, random, least, top2
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "success": "bool",
        "near_tie": "bool",  # a failure that only the study's 0.001 rule would count
        "predicted": "int32",  # class of the adversarial image
        "l0": "float32",  # this and the next four: NaN where the attempt failed
        "l1": "float32",
        "l2": "float32",
        "linf": "float32",
        "l2_per_pixel": "float32",  # l2 / (3 H W)
        "gradients": "int32",  # evaluations spent
        "forwards": "int32",
        "eps": "float32",  # ifgsm_search: the smallest that succeeded; fgsm, ifgsm: as set; else NaN
        "const": "float32",  # cw, ead: the best constant; else NaN
    },
    # One CLEVER score.
    "clever": {
        "model": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "target_kind": "str",
        "norm": "str",  # 1, 2, inf: of the distance that the score bounds
        "margin": "float32",  # logit of the label minus logit of the target, at the image
        "score": "float32",
        "lipschitz": "float64",  # this and the next five: the fit; NaN where there is none
        "shape": "float64",
        "location": "float64",
        "scale": "float64",
        "ks": "float64",
        "p_value": "float64",
        "maxima": "list<float32>",  # one a batch: what was fitted
    },
    # One adversarial image of a source model, shown to another.
    "transfer": {
        "source": "str",
        "attack": "str",
        "setting": "str",
        "target_kind": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # of the attack; -1 if untargeted
        "model": "str",  # the one that is shown the image
        "attacked": "bool",  # it has the clean image right: rates are over these rows
        "clean_predicted": "int32",
        "predicted": "int32",
        "source_success": "bool",
        "success": "bool",  # with the picture as it is
        "top5": "bool",
        "released_success": "bool",  # what the study's code would log: a failed search hands on no image
        "released_top5": "bool",
    },
}
_ARROW = {
    "str": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "list<float32>": pa.list_(pa.float32()),
}
_MAY_BE_MISSING = ("float32", "float64")  # NaN; anything else must be there
_PART = re.compile(r"part-(\d{5,})\.parquet")
_OWN_TABLES = re.compile(r"(accuracy|robustness|clever|transfer(_.*)?)\.(csv|md)")


class Run:
    """The folder of one run. Reading creates nothing; `create` begins a new run, `append` adds rows to it."""

    def __init__(self, directory: str | os.PathLike):
        self.directory = Path(directory)
        if self.directory.exists() and not self.directory.is_dir():
            raise InputError(f"run directory {str(self.directory)!r} is a file; it must be a folder: give another name")

    @classmethod
    def create(cls, directory: str | os.PathLike, overwrite: bool = False) -> "Run":
        """A run without rows in ``directory``, made if needed.

        overwrite: remove the rows, manifest, tables and report of an earlier run there, and nothing else. Otherwise a directory
        that holds rows is an InputError, as is one that cannot be written.
        """
        run = cls(directory)
        parts = run.count_parts()
        if parts and not overwrite:
            raise InputError(
                f"run directory {str(run.directory)!r} already holds rows ({parts} parts); a new run needs one without: "
                "give another name, or remove it"
            )
        try:
            run.directory.mkdir(parents=True, exist_ok=True)
            for path in run._own_files():
                path.unlink(missing_ok=True)
            write_atomically(run.directory / ".writable", b"")
            (run.directory / ".writable").unlink()
        except OSError as error:
            raise _cannot_write(run.directory, error) from error
        return run

    def append(self, kind: str, rows: pd.DataFrame) -> None:
        """Add ``rows`` as the next part of ``kind``, whole or not at all. Columns may come in any order; no rows: no part.

        Raises InputError for an unknown kind, missing or unknown columns, values that do not fit their column, or a disk that
        cannot be written.
        """
        table = _table(kind, rows)
        if not table.num_rows:
            return
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        parts = self._parts(kind)
        number = _number(parts[-1]) + 1 if parts else 0
        path = self.directory / kind / f"part-{number:05d}.parquet"
        write_atomically(path, sink.getvalue().to_pybytes())

    def read(self, kind: str) -> pd.DataFrame:
        """All rows of ``kind``, parts in order; without any, an empty frame with its columns. Raises InputError."""
        schema = _schema(kind)
        tables = [schema.empty_table()]
        for path in self._parts(kind):
            try:
                table = pq.ParquetFile(path).read()  # not read_table, which makes a column of a folder named "eps=0.1"
            except (OSError, pa.ArrowInvalid) as error:
                raise InputError(f"{str(path)!r} is not a readable part ({_one_line(error)}); remove it and run again") from error
            if not table.schema.equals(schema):
                raise InputError(f"{str(path)!r} does not have the columns of {kind!r}; it is of another version: run again")
            tables.append(table)
        return pa.concat_tables(tables).to_pandas()

    def count_parts(self) -> int:
        """How many parts there are, of all kinds; 0: no run has left rows here."""
        return sum(len(self._parts(kind)) for kind in KINDS)

    def write_manifest(self, manifest: dict) -> None:
        """Replace manifest.json: settings, versions, counts, times. NumPy values become plain, inf and NaN text."""
        text = json.dumps(_plain(manifest), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(self.directory / "manifest.json", text.encode())

    def manifest(self) -> dict:
        """What `write_manifest` wrote; empty if nothing was written. Raises InputError if it cannot be read."""
        path = self.directory / "manifest.json"
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{str(path)!r} is not a readable manifest ({_one_line(error)}); remove it and run again") from error
        if not isinstance(value, dict):
            raise InputError(f"{str(path)!r} holds a JSON {type(value).__name__}; a manifest is an object: remove it and run again")
        return value

    def _parts(self, kind: str) -> list[Path]:
        _schema(kind)
        return sorted((path for path in _files(self.directory / kind) if _PART.fullmatch(path.name)), key=_number)

    def _own_files(self) -> Iterable[Path]:
        """Every file in the directory that this module or the report writes, leftovers of an interrupted write included."""
        for folder, pattern in [
            *((kind, _PART) for kind in KINDS),
            ("tables", _OWN_TABLES),
            ("", re.compile(r"manifest\.json|report\.html")),
        ]:
            for path in _files(self.directory / folder):
                leftover = re.fullmatch(r"\.(.+)\.\d+\.tmp", path.name)
                if pattern.fullmatch(leftover[1] if leftover else path.name):
                    yield path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file (and its folder) so that ``path`` is the old or the new content, never a part. Raises InputError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` last, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _number(part: Path) -> int:
    return int(_PART.fullmatch(part.name)[1])


def _schema(kind: str) -> pa.Schema:
    if kind not in KINDS:
        raise unknown("kind of rows", kind, KINDS)
    return pa.schema([(name, _ARROW[dtype]) for name, dtype in KINDS[kind].items()])


def _table(kind: str, rows: pd.DataFrame) -> pa.Table:
    """``rows`` in the column order and types of ``kind``. Raises InputError."""
    schema = _schema(kind)
    missing = [name for name in KINDS[kind] if name not in rows.columns]
    extra = [str(name) for name in rows.columns if name not in KINDS[kind]]
    if missing or extra:
        wrong = [f"{what} {', '.join(names)}" for what, names in (("lack", missing), ("have unknown", extra)) if names]
        raise InputError(f"{kind} rows {' and '.join(wrong)}; their columns are: {', '.join(KINDS[kind])}")
    arrays = []
    for name, dtype in KINDS[kind].items():
        try:
            array = pa.Array.from_pandas(rows[name], type=_ARROW[dtype])
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{kind} column {name!r} does not hold {dtype} ({_one_line(error)}); convert it") from error
        if array.null_count and dtype not in _MAY_BE_MISSING:
            raise InputError(f"{kind} column {name!r} lacks {array.null_count} values; each row needs one: fill them in")
        arrays.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    return pa.Table.from_arrays(arrays, schema=schema)


def _plain(value):
    """``value`` as what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _cannot_write(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot write {str(path)!r}: {error.strerror or error}; give a folder that can be written")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
