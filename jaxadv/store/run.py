"""What a run leaves on disk: rows, one per attempt, in parts that appear whole or not at all, and a manifest.

A part holds one unit of work, such as one attack on one network, and is named after it. A unit whose part is there is done.
One whose part is damaged is done again. A part says of which run it is (`jaxadv.store.parts`); those of others are left out.
A table or figure is a view of the rows and is remade from them; nothing here needs JAX.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from jaxadv.store import clearing, manifest, parts, sums, values
from jaxadv.store.belonging import Belonging, place
from jaxadv.store.identity import Identity, as_identity
from jaxadv.store.lock import locked
from jaxadv.store.parts import About, Part
from jaxadv.store.rows import KINDS, fits, schema, table
from jaxadv.support import log, places
from jaxadv.support.files import (
    Damaged,
    Foreign,
    cannot_write,
    remove,
    set_aside,
    write_atomically,
)
from model_ports.errors import InputError

FORMAT = parts.FORMAT
TOGETHER = 2**24  # bytes of rows after which `parts` hands them over
SUMS_TOGETHER = 1000  # parts whose sums are added up at once
_NAME = re.compile(r"\w[\w.-]*")
_PART = re.compile(r"part-.+\.parquet")
_said: set[tuple[str, int]] = set()  # files of others, and when they changed: each is told once


class Run:
    """The folder of one run. Reading creates nothing; `begin` starts or continues a run, `append` adds rows to it."""

    def __init__(self, directory: str | os.PathLike[str]):
        self.directory = places.place("--out", directory)
        self._lock: int | None = None
        self._begun: Belonging | None = None
        if self.directory.exists() and not self.directory.is_dir():
            raise InputError(
                f"run directory {str(self.directory)!r} is a file; it must be a folder: give another name"
            )

    @classmethod
    def begin(
        cls,
        directory: str | os.PathLike[str],
        identity: Identity | Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
        any_machine: bool = False,
        process: int = 0,
        processes: int = 1,
    ) -> "Run":
        """A new run in ``directory``, made if needed, or the run that is there, to be continued; locked until `close`.

        Args:
            directory: of the run.
            identity: everything that changes rows, or its facts alone.
            overwrite: remove what an earlier run has left there, and nothing else.
            any_machine: go on with what another kind of machine began.
            process: number of this process. Process 0 makes the run and the others wait for it.
            processes: how many processes work on the run.

        Raises:
            InputError: where a run of another identity or another process is at work, or the directory cannot be written.
        """
        run, identity = cls(directory), as_identity(identity)
        try:
            run.directory.mkdir(parents=True, exist_ok=True)
            if overwrite and processes > 1:
                raise InputError(
                    f"--overwrite with {processes} processes: some may be at work; remove {str(run.directory)!r} first"
                )
            run._lock = locked(run.directory / (f".lock-{process}" if process else ".lock"))
            if process:
                while not run.manifest():
                    time.sleep(0.1)
                Belonging.of(run.directory, run.manifest()).compare(identity, KINDS)
            else:
                run._start(
                    identity, overwrite=overwrite, any_machine=any_machine, alone=processes == 1
                )
            run._begun = Belonging(
                run.directory, identity, Belonging.of(run.directory, run.manifest()).machines
            )
        except OSError as error:
            run.close()
            raise cannot_write(run.directory, error) from error
        except BaseException:
            run.close()
            raise
        return run

    def _start(
        self, identity: Identity, *, overwrite: bool, any_machine: bool, alone: bool
    ) -> None:
        """Write the manifest of a new run, or compare it with that of the run that is there."""
        if alone:
            for path in self.directory.glob(".lock-*"):  # of a run that several were at
                os.close(locked(path))
            clearing.remove_leftovers(self.directory)
        known, kinds = self.manifest(), [kind for kind in KINDS if self._parts(kind)]
        if overwrite and known:
            clearing.remove_run(self.directory, self.belonging, known)
            known = {}
        elif known:
            settled = alone and not clearing.unfinished(self.directory)
            self.belonging.compare(
                identity, kinds if settled and kinds else KINDS, any_machine=any_machine
            )
        elif kinds:
            raise InputError(
                f"run directory {str(self.directory)!r} holds rows of no run that is known; give another --out"
            )
        self.write_manifest(manifest.begun(known, identity, any_machine=any_machine))

    def check_format(self) -> None:
        """Raises InputError for rows of another version, or of no run that is known; nothing is changed."""
        if not self.manifest():
            raise InputError(
                f"run directory {str(self.directory)!r} holds rows of no run that is known; give another --out"
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
                os.close(locked(path))
            except InputError:
                count += 1
        return count

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, value, traceback) -> None:
        self.close()

    @property
    def belonging(self) -> Belonging:
        """Which parts are of this run: of the one that has begun, or that is there. Raises InputError."""
        return self._begun or Belonging.of(self.directory, self.manifest())

    @property
    def unfinished(self) -> Path:
        """The folder of what is kept until its rows are written."""
        return self.directory / clearing.UNFINISHED

    def sweep(self) -> None:
        """All rows are written: remove what was kept until then."""
        clearing.remove_leftovers(self.directory)
        clearing.remove_unfinished(self.directory, self.belonging)

    def claim(self, files: Iterable[Path]) -> None:
        """Say that this run writes these files, before it does so.

        Raises:
            InputError: where another one's file is in the way.
        """
        known = self.manifest()
        names = clearing.claim(self.directory, known.get("files", ()), files)
        if names != known.get("files"):
            self.write_manifest(known | {"files": names})

    def append(self, kind: str, rows: pd.DataFrame, *, part: str) -> None:
        """Write ``rows`` as one ``part`` of ``kind``, whole or not at all, in place of one of that name.

        Args:
            kind: of the rows.
            rows: their columns may come in any order.
            part: the unit of work.

        Raises:
            InputError: for an unknown kind, missing or unknown columns, values that do not fit their
                column, or a disk that cannot be written.
        """
        if not _NAME.fullmatch(part):
            raise InputError(
                f"part {part!r} is no name; letters, digits, '_', '-' and '.' are allowed: rename it"
            )
        content, ours = table(kind, rows), self.belonging
        about = About(parts.FORMAT, kind, part, len(content), ours.digest(kind), ours.identity)
        entries = (
            {sums.ENTRY: sums.encoded(sums.of(content.to_pandas()))} if kind == "transfer" else {}
        )
        write_atomically(self._path(kind, part), parts.encode(content, about, entries))

    def exists(self, kind: str, part: str) -> bool:
        """Whether a part is there, unread."""
        return self._path(kind, part).is_file()

    def has(self, kind: str, part: str) -> bool:
        """Whether a part is there, whole, and of this run.

        A damaged one is removed. Another one's file is given another name. A line says so.
        """
        path = self._path(kind, part)
        try:
            found = parts.read(path)
            self.belonging.check(found.about, path, kind)
            if kind == "transfer":
                _sums(found)
        except FileNotFoundError:
            return False
        except Damaged as error:
            log.warn(f"removed, to be made again: {error}")
            log.skip("damaged parts, made again")
            remove(path)
            return False
        except Foreign as error:
            log.warn(
                f"{error}; it is now called {set_aside(path).name!r}, and the part is made again"
            )
            log.skip("parts of other runs, left out")
            return False
        return True

    def read(
        self, kind: str, columns: Sequence[str] | None = None, *, part: str | None = None
    ) -> pd.DataFrame:
        """All rows of ``kind``, in the order of the parts' names, or of one part.

        Without any, an empty frame with its columns. Raises InputError.
        """
        empty = schema(kind).empty_table()
        paths = self._parts(kind) if part is None else [self._path(kind, part)]
        if columns is not None:
            empty = empty.select([name for name in columns if name in KINDS[kind]])
        tables = [empty, *(found.rows(columns) for found in self._open(paths, kind))]
        return pa.concat_tables(tables, promote_options="default").to_pandas()

    def parts(
        self,
        kind: str,
        columns: Sequence[str] | None = None,
        *,
        settings: values.Settings | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of ``kind``, one part or several small ones at a time, text as categories: to count in little memory.

        settings: of attempts, filled with what `settings` gives, from the parts as they are read. Raises InputError.
        """
        text = [
            name
            for name, dtype in KINDS[kind].items()
            if dtype == "str" and (columns is None or name in columns)
        ]
        some, size = [], 0
        for part in self._open(self._parts(kind), kind):
            some.append(part.rows(columns))
            if settings is not None:
                values.add(settings, part, some[-1])
            size += some[-1].nbytes
            if size > TOGETHER:
                yield pa.concat_tables(some, promote_options="default").to_pandas(categories=text)
                some, size = [], 0
        if some:
            yield pa.concat_tables(some, promote_options="default").to_pandas(categories=text)

    def settings(self) -> values.Settings:
        """The values of every setting of an attack that attempts had, by attack and label. Raises InputError."""
        found: values.Settings = {}
        for _ in self.parts("examples", ["attack", "setting"], settings=found):
            pass
        return found

    def transfer_sums(self) -> pd.DataFrame:
        """What all transfer rows add up to (`jaxadv.store.sums`), from the footers of their parts.

        Raises InputError.
        """
        total = pa.Table.from_pandas(
            sums.of(schema("transfer").empty_table().to_pandas()), preserve_index=False
        )
        some = [total]
        for part in self._open(self._parts("transfer"), "transfer", rows=False):
            some.append(_sums(part).cast(total.schema))
            if len(some) > SUMS_TOGETHER:
                some = [
                    pa.Table.from_pandas(
                        sums.added(pa.concat_tables(some).to_pandas()),
                        total.schema,
                        preserve_index=False,
                    )
                ]
        return sums.added(pa.concat_tables(some).to_pandas())

    def count_parts(self) -> int:
        """How many parts there are, of all kinds; 0: no run has left rows here."""
        return sum(len(self._parts(kind)) for kind in KINDS)

    def write_manifest(self, entries: Mapping[str, Any]) -> None:
        """Replace manifest.json: settings, versions, counts, times. NumPy values become plain, inf and NaN text."""
        manifest.write(self.directory, entries)

    def manifest(self) -> dict[str, Any]:
        """What `write_manifest` wrote, and "format"; empty if nothing was written.

        Where it is damaged or gone, and parts are there, it is what their footers say. Raises InputError for a
        manifest of something else, or of another format.
        """
        try:
            known, reason = (
                manifest.read(self.directory),
                f"{str(self.directory / manifest.NAME)!r} is missing",
            )
        except Damaged as error:
            known, reason = {}, str(error)
            if not self.count_parts():
                raise InputError(f"{error}; remove it, or give another --out") from error
        except Foreign as error:
            raise InputError(f"{error}; give another --out, or move it away") from error
        if known or not self.count_parts():
            return known
        rebuilt = manifest.rebuilt(self._abouts())
        if rebuilt.get("identity"):
            _say_once(
                self.directory / manifest.NAME,
                f"{reason}; what it said of the run is taken from the parts",
            )
        return rebuilt

    def _abouts(self) -> Iterator[About]:
        """What every part that can be read says of itself."""
        for kind in KINDS:
            for path in self._parts(kind):
                try:
                    about = parts.read_footer(path).about
                except (Damaged, Foreign, FileNotFoundError):
                    continue
                if path == self._path(kind, about.unit):
                    yield about

    def _open(self, paths: Iterable[Path], kind: str, *, rows: bool = True) -> Iterator[Part]:
        """The parts of this run among some files; the others are left out, and a line names each. Raises InputError."""
        belonging = self.belonging
        for path in paths:
            try:
                part = parts.read(path) if rows else parts.read_footer(path)
                belonging.check(part.about, path, kind)
            except FileNotFoundError:
                continue
            except Foreign as error:
                _say_once(path, f"left out: {error}")
                continue
            if not fits(kind, part.file.schema_arrow):
                raise InputError(
                    f"{str(path)!r} does not have the columns of {kind!r}; it is of another version: run again"
                )
            yield part

    def _parts(self, kind: str) -> list[Path]:
        schema(kind)
        return [
            path for path in clearing.files(self.directory / kind) if _PART.fullmatch(path.name)
        ]

    def _path(self, kind: str, part: str) -> Path:
        return place(self.directory, kind, part)


def _sums(part: Part) -> pa.Table:
    """The sums of a part of transfer rows. Raises Damaged."""
    try:
        return sums.decoded(part.entry(sums.ENTRY) or b"")
    except (ValueError, pa.ArrowException) as error:
        raise Damaged(f"the sums of part {part.about.unit!r} cannot be read") from error


def _say_once(path: Path, text: str) -> None:
    """Tell of a file, once for what is in it."""
    try:
        state = (str(path), path.stat().st_mtime_ns)
    except OSError:
        state = (str(path), 0)
    if state not in _said:
        _said.add(state)
        log.warn(text)
