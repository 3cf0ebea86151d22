"""What a run leaves on disk: rows, one per attempt, in parts that appear whole or not at all, and a manifest.

A part holds one unit of work, such as one attack on one network, and is named after it: a unit whose part is there is done, and
one whose part is damaged is done again. A table or figure is a view of the rows and is remade from them; nothing here needs JAX.
"""

import json
import math
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jaxadv.store import image_store, sums
from jaxadv.store.rows import ALSO_SETTINGS, KINDS, fits, one_line, schema, table
from jaxadv.support import log
from jaxadv.support.files import cannot_write, locked, write_atomically
from model_ports.errors import InputError

FORMAT = 2
"""Of the folder: its manifest has this number, or the folder is of another version, which this one does not read."""
TOGETHER = 2**24  # bytes of rows after which `parts` hands them over
SUMS_TOGETHER = 1000  # parts whose sums are added up at once
Settings = dict[tuple[str, str], dict[str, Any]]
"""Attack and label: the value of each parameter."""
_NAME = re.compile(r"\w[\w.-]*")
_OWN = {  # what this module and the report write, folder by folder
    **{kind: re.compile(r"part-.+\.parquet") for kind in KINDS},
    "tables": re.compile(
        r"(accuracy|robustness|clever|law|transfer(_.*)?|claims|comparison|explanation|depth|symmetry|agreement|sensitivity|signature(_confusion)?)\.(csv|md|tex)"
    ),
    "figures": re.compile(r".+\.(png|svg|txt)"),
    "log": re.compile(r"process-\d+\.log"),
    "unfinished": re.compile(r".+\.npz"),
    "": re.compile(r"manifest\.json|report\.html"),
}


class _OtherColumns(InputError):
    """A part that is whole, and of another version."""


class Run:
    """The folder of one run. Reading creates nothing; `begin` starts or continues a run, `append` adds rows to it."""

    def __init__(self, directory: str | os.PathLike):
        self.directory = Path(directory)
        self._lock = None
        if self.directory.exists() and not self.directory.is_dir():
            raise InputError(f"run directory {str(self.directory)!r} is a file; it must be a folder: give another name")

    @classmethod
    def begin(
        cls, directory: str | os.PathLike, identity: dict | None = None, *, overwrite: bool = False, process: int = 0, processes: int = 1
    ) -> "Run":
        """A new run in ``directory``, made if needed, or the run that is there, to be continued; locked until `close`.

        process: of several, of which 0 makes the run and the others wait for it.

        identity: everything that changes rows, by the name that a user knows it by; None for nothing. overwrite: remove the rows, manifest,
        tables, figures and page of an earlier run there, and nothing else. Raises InputError where a run of another identity or
        another process is at work, or the directory cannot be written.
        """
        run = cls(directory)
        plain: dict[str, Any] = _plain(identity or {})
        try:
            run.directory.mkdir(parents=True, exist_ok=True)
            if overwrite and processes > 1:
                raise InputError(f"--overwrite with {processes} processes: some may be at work; remove {str(run.directory)!r} first")
            run._lock = _locked(run.directory / (f".lock-{process}" if process else ".lock"))
            if process:
                while not run.manifest():
                    time.sleep(0.1)
                run._compare(run.manifest().get("identity"), plain)
                return run
            if processes == 1:
                for path in run.directory.glob(".lock-*"):  # of a run that several were at
                    os.close(_locked(path))
                run._remove_leftovers()
            if overwrite:
                for path in run._own_files():
                    path.unlink(missing_ok=True)
                image_store.remove(run.directory)
            known = run.manifest()
            if known or run.count_parts():
                if known:
                    run.check_format()
                run._compare(known.get("identity"), plain)
            run.write_manifest(known | {"identity": plain, "format": FORMAT})
        except OSError as error:
            run.close()
            raise cannot_write(run.directory, error) from error
        except BaseException:
            run.close()
            raise
        return run

    def check_format(self) -> None:
        """Raises InputError for a folder of another version's rows; nothing in it is changed."""
        manifest = self.manifest()
        known = manifest.get("format", 1) if manifest else "unknown"
        if known != FORMAT:
            raise InputError(
                f"run directory {str(self.directory)!r} has format {known}, and this version reads and writes {FORMAT} alone; "
                "use the version that wrote it, or evaluate again with another --out, or with --overwrite"
            )

    def close(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def count_others(self) -> int:
        """How many of the other processes that share this run are there, as the first asks."""
        count = 0
        for path in self.directory.glob(".lock-*"):
            try:
                os.close(_locked(path))
            except InputError:
                count += 1
        return count

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, value, traceback) -> None:
        self.close()

    @property
    def unfinished(self) -> Path:
        """The folder of what is kept until its rows are written."""
        return self.directory / "unfinished"

    def sweep(self) -> None:
        """All rows are written: remove what was kept until then."""
        self._remove_leftovers()
        for path in _files(self.unfinished):
            path.unlink(missing_ok=True)
        if self.unfinished.is_dir():
            self.unfinished.rmdir()

    def _remove_leftovers(self) -> None:
        """What interrupted writes have left, when nobody else can be writing."""
        for path in self._own_files(leftovers=True):
            path.unlink(missing_ok=True)
        image_store.remove(self.directory, leftovers=True)

    def append(self, kind: str, rows: pd.DataFrame, *, part: str) -> None:
        """Write ``rows`` as one ``part`` of ``kind``, whole or not at all, in place of one of that name. Columns may come in any order.

        Raises InputError for an unknown kind, missing or unknown columns, values that do not fit their column, or a disk that
        cannot be written.
        """
        if not _NAME.fullmatch(part):
            raise InputError(f"part {part!r} is no name; letters, digits, '_', '-' and '.' are allowed: rename it")
        content, sink = table(kind, rows), pa.BufferOutputStream()
        with pq.ParquetWriter(sink, content.schema, compression="zstd", write_page_checksum=True) as writer:
            writer.write_table(content)
            if kind == "transfer":
                writer.add_key_value_metadata({sums.ENTRY: sums.encoded(sums.of(content.to_pandas()))})
        write_atomically(self._path(kind, part), sink.getvalue())

    def exists(self, kind: str, part: str) -> bool:
        """Whether a part is there, unread."""
        return self._path(kind, part).is_file()

    def has(self, kind: str, part: str) -> bool:
        """Whether a part is there, and whole; a damaged one is removed, and a line says so. Raises InputError for other columns."""
        path = self._path(kind, part)
        if not path.is_file():
            return False
        try:
            _read(path, kind)
            if kind == "transfer":
                _sums(path)
        except _OtherColumns:
            raise
        except InputError as error:
            log.warn(f"removed, to be made again: {error}")
            log.skip("damaged parts, made again")
            path.unlink(missing_ok=True)
            return False
        return True

    def read(self, kind: str, columns: Sequence[str] | None = None, *, part: str | None = None) -> pd.DataFrame:
        """All rows of ``kind``, in the order of the parts' names, or of one part.

        Without any, an empty frame with its columns. Raises InputError.
        """
        empty = schema(kind).empty_table()
        paths = self._parts(kind) if part is None else [self._path(kind, part)]
        if columns is not None:
            empty = empty.select([name for name in columns if name in KINDS[kind]])
        tables = [empty, *(_read(path, kind, columns) for path in paths)]
        return pa.concat_tables(tables, promote_options="default").to_pandas()

    def parts(
        self, kind: str, columns: Sequence[str] | None = None, *, settings: Settings | None = None
    ) -> Iterator[pd.DataFrame]:
        """The rows of ``kind``, one part or several small ones at a time, text as categories: to count in little memory.

        settings: of attempts, filled with what `settings` gives, from the parts as they are read. Raises InputError.
        """
        text = [name for name, dtype in KINDS[kind].items() if dtype == "str" and (columns is None or name in columns)]
        some, size = [], 0
        for path in self._parts(kind):
            some.append(_read(path, kind, columns))
            if settings is not None:
                _add_settings(settings, path, some[-1])
            size += some[-1].nbytes
            if size > TOGETHER:
                yield pa.concat_tables(some, promote_options="default").to_pandas(categories=text)
                some, size = [], 0
        if some:
            yield pa.concat_tables(some, promote_options="default").to_pandas(categories=text)

    def settings(self) -> Settings:
        """The values of every setting of an attack that attempts had, by attack and label. Raises InputError."""
        found: Settings = {}
        for _ in self.parts("examples", ["attack", "setting"], settings=found):
            pass
        return found

    def transfer_sums(self) -> pd.DataFrame:
        """What all transfer rows add up to (`jaxadv.store.sums`), from the footers of their parts; rows are read where a footer has none.

        Raises InputError.
        """
        total = pa.Table.from_pandas(sums.of(schema("transfer").empty_table().to_pandas()), preserve_index=False)
        some = [total]
        for path in self._parts("transfer"):
            some.append(_sums(path).cast(total.schema))
            if len(some) > SUMS_TOGETHER:
                some = [pa.Table.from_pandas(sums.added(pa.concat_tables(some).to_pandas()), total.schema, preserve_index=False)]
        return sums.added(pa.concat_tables(some).to_pandas())

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
            raise InputError(f"{str(path)!r} is not a readable manifest ({one_line(error)}); give another --out, or --overwrite") from error
        if not isinstance(value, dict):
            raise InputError(
                f"{str(path)!r} holds a JSON {type(value).__name__}; a manifest is an object: give another --out, or --overwrite"
            )
        return value

    def _compare(self, known: dict | None, identity: dict) -> None:
        """InputError that names what differs between the run that is there and the one that is asked for."""
        what = f"run directory {str(self.directory)!r} holds"
        remedy = "give another --out, or --overwrite to replace it"
        if not isinstance(known, dict):
            raise InputError(f"{what} rows of a run that does not say its settings; {remedy}")
        differing = [name for name in known | identity if known.get(name) != identity.get(name)]
        if differing:
            told = [f"{name} {_told(known.get(name))} there, {_told(identity.get(name))} now" for name in differing[:3]]
            more = f", and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise InputError(f"{what} a run of other settings ({'; '.join(told)}{more}); continue it with its own, {remedy}")

    def _parts(self, kind: str) -> list[Path]:
        schema(kind)
        return [path for path in _files(self.directory / kind) if _OWN[kind].fullmatch(path.name)]

    def _path(self, kind: str, part: str) -> Path:
        return self.directory / kind / f"part-{part}.parquet"

    def _own_files(self, leftovers: bool = False) -> Iterable[Path]:
        """Every file in the directory that this module or the report writes; or what interrupted writes have left of them."""
        for folder, pattern in _OWN.items():
            for path in _files(self.directory / folder):
                leftover = re.fullmatch(r"\.(.+)\.\d+\.tmp", path.name)
                if bool(leftover) == leftovers and pattern.fullmatch(leftover[1] if leftover else path.name):
                    yield path


def _locked(path: Path) -> int:
    """An open file that this process alone has locked, which ends with the process however that ends. Raises InputError."""

    def busy(owner: str) -> InputError:
        return InputError(f"run directory {str(path.parent)!r} is in use by {owner}; wait for it, or give another --out")

    return locked(path, busy)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _read(path: Path, kind: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A part, its checksums verified. Raises InputError."""
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)  # not read_table, which makes a column of a folder named "eps=0.1"
        if not fits(kind, file.schema_arrow):
            raise _OtherColumns(f"{str(path)!r} does not have the columns of {kind!r}; it is of another version: run again")
        wanted = columns and [name for name in columns if name in KINDS[kind] or name in file.schema_arrow.names]
        return file.read(columns=wanted, use_threads=False)  # parts are small: threads take longer
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _add_settings(known: Settings, path: Path, part: pa.Table) -> None:
    """The settings of a part of attempts that are not known yet. part: its columns "attack" and "setting", at least."""
    pairs = part.group_by(["attack", "setting"]).aggregate([]).to_pylist()
    if all((pair["attack"], pair["setting"]) in known for pair in pairs):
        return
    names = pq.read_schema(path).names
    columns = ["attack", "setting", *(name for name in names if name in ALSO_SETTINGS or name not in KINDS["examples"])]
    rows = _read(path, "examples", columns).group_by(["attack", "setting"], use_threads=False)
    firsts = rows.aggregate([(name, "first") for name in columns[2:]]).rename_columns(
        {f"{name}_first": name for name in columns[2:]}
    )
    for row in firsts.to_pylist():
        how = (row.pop("attack"), row.pop("setting"))
        values = {name: _as_set(firsts.schema.field(name).type, value) for name, value in row.items()}
        known[how] = {name: value for name, value in values.items() if value is not None and value == value}


def _as_set(kind: pa.DataType, value: Any) -> Any:
    """The number that was rounded to float32, with the digits that it had: 0.1, not 0.10000000149."""
    return float(str(np.float32(value))) if kind == pa.float32() and value is not None else value


def _sums(path: Path) -> pa.Table:
    """The sums of a part. Raises InputError."""
    try:
        entry = (pq.read_metadata(path).metadata or {}).get(sums.ENTRY.encode())
        if entry:
            return sums.decoded(entry)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    return pa.Table.from_pandas(sums.of(_read(path, "transfer", sums.COLUMNS).to_pandas()), preserve_index=False)


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{str(path)!r} is not a readable part ({one_line(error)}); give the command that made it again")


def _plain(value: Any) -> Any:
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


def _told(value) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else "not given" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
