"""A run on disk: rows in parts, one row for each attempt, and a manifest. A part is written
completely or not at all.

A part holds one unit of work, such as one attack on one network, and has its name. A unit is done
if its part exists. It is done again if its part is damaged. Each part contains the identity of its
run (`jaxadv.store.parts`), and parts of other runs are ignored. Tables and figures are views of the
rows and are remade from them. Nothing here needs JAX.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from jaxadv.store import clearing, manifest, parts, sums, values
from jaxadv.store.belonging import Belonging, place
from jaxadv.store.claims import Claims
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
TOGETHER = 2**24  # bytes of rows that `parts` yields at once
SUMS_TOGETHER = 1000  # parts whose sums are added at once
_NAME = re.compile(r"\w[\w.-]*")
_PART = re.compile(r"part-.+\.parquet")
_said: set[tuple[str, int]] = set()  # files with their times of change; each is reported once


class Run:
    """The folder of one run. `begin` starts or continues a run, and `append` adds rows to it.
    Reading writes nothing.

    Args:
        directory: the folder, which need not exist.

    Raises:
        InputError: if the directory is a file.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        self.directory = places.place("--out", directory)
        self._lock: int | None = None
        self._begun: Belonging | None = None
        if self.directory.exists() and not self.directory.is_dir():
            raise InputError(
                f"run directory {str(self.directory)!r} is a file; it must be a folder: give "
                "another name"
            )

    @classmethod
    def begin(
        cls,
        directory: str | os.PathLike[str],
        identity: Identity | Mapping[str, Any] | None = None,
        *,
        overwrite: bool = False,
        any_machine: bool = False,
        joins: bool = False,
    ) -> "Run":
        """Begin a new run in a folder, or continue the run there.

        The run is locked until `close`, unless this process joins others.

        Args:
            directory: the folder, which is made if needed.
            identity: everything that changes rows, or its facts alone.
            overwrite: whether to remove the files of an earlier run there. Other files stay.
            any_machine: whether to continue a run that another kind of machine began.
            joins: whether other processes may be at work on the run.

        Returns:
            The run.

        Raises:
            InputError: if the folder holds a run of another identity, another process uses it, or
                it cannot be written.
        """
        run = cls(directory)
        identity = as_identity(identity)
        try:
            run.directory.mkdir(parents=True, exist_ok=True)
            if overwrite and joins:
                raise InputError(
                    f"--overwrite with --join: other processes may be at work; remove "
                    f"{str(run.directory)!r} first"
                )
            if not joins:
                run._lock = locked(run.directory / ".lock")
                Claims(run.directory).refuse_others()
            run._start(identity, overwrite=overwrite, any_machine=any_machine, joins=joins)
            ours = Belonging.of(run.directory, run.manifest())
            if joins:  # two runs may have begun here in the same moment
                ours.compare(identity, KINDS, any_machine=any_machine)
            run._begun = Belonging(run.directory, identity, ours.machines)
        except OSError as error:
            run.close()
            raise cannot_write(run.directory, error) from error
        except BaseException:
            run.close()
            raise
        return run

    def _start(
        self, identity: Identity, *, overwrite: bool, any_machine: bool, joins: bool
    ) -> None:
        """Write the manifest of a new run, or compare the identity with that of the run in the
        folder.
        """
        if not joins:
            clearing.remove_leftovers(self.directory)
        known = self.manifest()
        kinds = [kind for kind in KINDS if self._parts(kind)]
        if overwrite and known:
            clearing.remove_run(self.directory, self.belonging, known)
            known = {}
        elif known:
            settled = not joins and not clearing.unfinished(self.directory)
            self.belonging.compare(
                identity, kinds if settled and kinds else KINDS, any_machine=any_machine
            )
        elif kinds:
            raise InputError(
                f"run directory {str(self.directory)!r} holds rows of an unknown run; give another "
                "--out"
            )
        begun = manifest.begun(known, identity, any_machine=any_machine)
        if not joins or begun != known:
            self.write_manifest(begun)

    def check_format(self) -> None:
        """Raises InputError if the rows are of another version, or of an unknown run.

        Nothing is changed.
        """
        if not self.manifest():
            raise InputError(
                f"run directory {str(self.directory)!r} holds rows of an unknown run; give another "
                "--out"
            )

    def close(self) -> None:
        """Unlock the run for other processes."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind, value, traceback) -> None:
        self.close()

    @property
    def belonging(self) -> Belonging:
        """The test whether a part belongs to this run.

        Raises InputError if the manifest is unreadable.
        """
        return self._begun or Belonging.of(self.directory, self.manifest())

    @property
    def unfinished(self) -> Path:
        """The folder of journals, which exist until their rows are written."""
        return self.directory / clearing.UNFINISHED

    def sweep(self) -> None:
        """Remove journals and temporary files, after all rows are written."""
        clearing.remove_leftovers(self.directory)
        clearing.remove_unfinished(self.directory, self.belonging)

    def remove_journals(self, part: str) -> None:
        """Remove the journals of a unit whose rows are written."""
        clearing.remove_journals(self.directory, part)

    def claim(self, files: Iterable[Path]) -> None:
        """Record that this run writes some files, before it writes them.

        Args:
            files: the files.

        Raises:
            InputError: if the run would replace a file that it did not write.
        """
        known = self.manifest()
        names = clearing.claim(self.directory, known.get("files", ()), files)
        if names != known.get("files"):
            self.write_manifest(known | {"files": names})

    def append(self, kind: str, rows: pd.DataFrame, *, part: str) -> None:
        """Write rows as one part, completely or not at all. It replaces a part of the same name.

        Args:
            kind: the kind of rows.
            rows: the rows, with columns in any order.
            part: the unit of work.

        Raises:
            InputError: if the kind is unknown, a column is missing or unknown, a value does not fit
                its column, or the part cannot be written.
        """
        if not _NAME.fullmatch(part):
            raise InputError(
                f"part {part!r} is not a valid name; letters, digits, '_', '-' and '.' are "
                "allowed: rename it"
            )
        content = table(kind, rows)
        ours = self.belonging
        about = About(parts.FORMAT, kind, part, len(content), ours.digest(kind), ours.identity)
        entries = (
            {sums.ENTRY: sums.encoded(sums.of(content.to_pandas()))} if kind == "transfer" else {}
        )
        write_atomically(self._path(kind, part), parts.encode(content, about, entries))

    def exists(self, kind: str, part: str) -> bool:
        """Whether the file of a part exists. It is not read.

        Args:
            kind: the kind of rows.
            part: the unit of work.

        Returns:
            True if the file exists.
        """
        return self._path(kind, part).is_file()

    def has(self, kind: str, part: str) -> bool:
        """Whether a part exists, is undamaged, and belongs to this run.

        A damaged part is removed, and the file of another run is renamed. A warning reports either.

        Args:
            kind: the kind of rows.
            part: the unit of work.

        Returns:
            True if the part is usable.
        """
        path = self._path(kind, part)
        try:
            stored = parts.read(path)
            self._check(stored.about, path, kind)
            if not fits(kind, stored.file.schema_arrow):
                raise Foreign(f"{str(path)!r} does not have the columns of {kind!r}")
            stored.rows()  # can they be decoded?
            if kind == "transfer":
                _sums(stored)
        except FileNotFoundError:
            return False
        except Damaged as error:
            log.warn(f"removed, to be made again: {error}")
            log.skip("damaged parts, made again")
            remove(path)
            return False
        except Foreign as error:
            log.warn(
                f"{error}; it is renamed to {set_aside(path).name!r}, and the part is made again"
            )
            log.skip("parts of other runs, left out")
            return False
        return True

    def read(
        self, kind: str, columns: Sequence[str] | None = None, *, part: str | None = None
    ) -> pd.DataFrame:
        """All rows of a kind, in the order of the parts' names, or the rows of one part.

        Args:
            kind: the kind of rows.
            columns: the columns to read; None for all.
            part: the unit of work; None for all.

        Returns:
            The rows. Without rows, an empty frame with the columns.

        Raises:
            InputError: if the kind is unknown, or a part cannot be read.
        """
        empty = schema(kind).empty_table()
        paths = self._parts(kind) if part is None else [self._path(kind, part)]
        if columns is not None:
            empty = empty.select([name for name in columns if name in KINDS[kind]])
        tables = [empty, *(stored.rows(columns) for stored in self._open(paths, kind))]
        return pa.concat_tables(tables, promote_options="default").to_pandas()

    def parts(
        self,
        kind: str,
        columns: Sequence[str] | None = None,
        *,
        settings: values.Settings | None = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of a kind, some parts at a time, to count them in little memory.

        Args:
            kind: the kind of rows.
            columns: the columns to read; None for all.
            settings: the settings in the parts are added to it, as `settings` gives them. Only for
                "examples".

        Yields:
            Rows of one or several parts. Columns of text are categories.

        Raises:
            InputError: if the kind is unknown, or a part cannot be read.
        """
        text = [
            name
            for name, dtype in KINDS[kind].items()
            if dtype == "str" and (columns is None or name in columns)
        ]
        some = []
        size = 0
        for part in self._open(self._parts(kind), kind):
            some.append(part.rows(columns))
            if settings is not None:
                values.add(settings, part, some[-1])
            size += some[-1].nbytes
            if size > TOGETHER:
                yield pa.concat_tables(some, promote_options="default").to_pandas(categories=text)
                some = []
                size = 0
        if some:
            yield pa.concat_tables(some, promote_options="default").to_pandas(categories=text)

    def settings(self) -> values.Settings:
        """The settings of all attempts, by attack and label.

        Raises InputError if a part cannot be read.
        """
        settings: values.Settings = {}
        for _ in self.parts("examples", ["attack", "setting"], settings=settings):
            pass
        return settings

    def transfer_sums(self) -> pd.DataFrame:
        """The sums of all transfer rows (`jaxadv.store.sums`), from the footers of their parts.

        Returns:
            The table of `jaxadv.store.sums.of`.

        Raises:
            InputError: if a part cannot be read.
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
        """The number of parts of all kinds; 0 if the folder has no rows."""
        return sum(len(self._parts(kind)) for kind in KINDS)

    def write_manifest(self, entries: Mapping[str, Any]) -> None:
        """Replace manifest.json. See `jaxadv.store.manifest.write`."""
        manifest.write(self.directory, entries)

    def manifest(self) -> dict[str, Any]:
        """The entries of the manifest, and "format". Empty if there is no run.

        If the manifest is missing or damaged, its entries come from the footers of the parts.

        Returns:
            The entries.

        Raises:
            InputError: if the manifest is not of a run or has another format, or if it is damaged
                and there are no parts.
        """
        try:
            known = manifest.read(self.directory)
            reason = f"{str(self.directory / manifest.NAME)!r} is missing"
        except Damaged as error:
            known = {}
            reason = str(error)
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
                f"{reason}; its entries are taken from the parts",
            )
        return rebuilt

    def _abouts(self) -> Iterator[About]:
        """The descriptions of all readable parts."""
        for kind in KINDS:
            for path in self._parts(kind):
                try:
                    about = parts.read_footer(path).about
                except (Damaged, Foreign, FileNotFoundError):
                    continue
                if path == self._path(kind, about.unit):
                    yield about

    def _open(self, paths: Iterable[Path], kind: str, *, rows: bool = True) -> Iterator[Part]:
        """The parts of this run among some files.

        A warning names each other file. Raises InputError.
        """
        for path in paths:
            try:
                part = parts.read(path) if rows else parts.read_footer(path)
                self._check(part.about, path, kind)
            except FileNotFoundError:
                continue
            except Foreign as error:
                _say_once(path, f"left out: {error}")
                continue
            if not fits(kind, part.file.schema_arrow):
                raise InputError(
                    f"{str(path)!r} does not have the columns of {kind!r}; another version wrote "
                    "it: run again"
                )
            yield part

    def _check(self, about: About, path: Path, kind: str) -> None:
        """Raises Foreign if a part is not of this run."""
        try:
            self.belonging.check(about, path, kind)
        except Foreign:
            if self._begun is None:
                raise
            # A process on another kind of machine may have joined since this one began.
            self._begun.machines = Belonging.of(self.directory, self.manifest()).machines
            self._begun.check(about, path, kind)

    def _parts(self, kind: str) -> list[Path]:
        schema(kind)
        return [
            path for path in clearing.files(self.directory / kind) if _PART.fullmatch(path.name)
        ]

    def _path(self, kind: str, part: str) -> Path:
        return place(self.directory, kind, part)


def _sums(part: Part) -> pa.Table:
    """The sums of a part of transfer rows. Raises Damaged if they cannot be read."""
    try:
        return sums.decoded(part.entry(sums.ENTRY) or b"")
    except (ValueError, pa.ArrowException) as error:
        raise Damaged(f"the sums of part {part.about.unit!r} cannot be read") from error


def _say_once(path: Path, text: str) -> None:
    """Warn of a file once, and again only after it has changed."""
    try:
        state = (str(path), path.stat().st_mtime_ns)
    except OSError:
        state = (str(path), 0)
    if state not in _said:
        _said.add(state)
        log.warn(text)
