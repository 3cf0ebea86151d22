"""Everything that reads files, each with files that it reads, and what it may raise for others."""

import json
import os
import shutil
import zlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from jaxadv.support import files
from model_ports.errors import InputError

CORPUS = Path(__file__).parent / "corpus"


class Reader(NamedTuple):
    """One kind of files.

    Args:
        seeds: their folder in the corpus.
        read: reads a file as a command does. Arguments: an empty folder, the content, the seed's
            name.
        refusals: what it may raise; one line each.
        repaired: the content with its checksums made right, so that what is behind them is reached.
        needs: a package that has to be installed.
    """

    seeds: str
    read: Callable[[Path, bytes, str], Any]
    refusals: tuple[type[Exception], ...] = (InputError,)
    repaired: Callable[[bytes], bytes] | None = None
    needs: str = ""

    def is_there(self) -> bool:
        """Whether all that it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None


def seeds(folder: str) -> dict[str, bytes]:
    """The files of a folder of the corpus by their names."""
    paths = sorted(path for path in (CORPUS / folder).rglob("*") if path.is_file())
    return {path.relative_to(CORPUS / folder).as_posix(): path.read_bytes() for path in paths}


def _put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- weights -----------------------------------------------------------------

LIMIT = 2**24
"""Bytes that the arrays of a file may take: of a small network."""


def _weights(folder: Path, content: bytes, name: str) -> Any:
    from model_ports.convert import sources

    return sources.read(_put(folder, name, content), limit=LIMIT)


def _several(folder: Path, content: bytes, name: str) -> Any:
    """One of the files of a checkpoint, or of sharded safetensors, the others as they are."""
    from model_ports.convert import sources

    kind = name.partition("/")[0]
    for other, whole in seeds(f"several/{kind}").items():
        _put(folder, other, whole)
    _put(folder, name.partition("/")[2], content)
    entry = {"bundle": "model.ckpt", "shards": "model.safetensors.index.json"}[kind]
    return sources.read(folder / entry, limit=LIMIT)


def _graph(folder: Path, content: bytes, name: str) -> Any:
    """The graph beside a checkpoint."""
    from model_ports.convert import checkpoint_graph, frozen_graph
    from model_ports.convert.protobuf import Malformed

    _put(folder, "model.ckpt.meta", content)
    try:
        return list(frozen_graph.nodes(checkpoint_graph.graph(folder / "model.ckpt")))
    except Malformed as error:  # which those who ask for nodes turn into a line
        raise InputError(str(error)) from None


def _checkpoint(folder: Path, content: bytes, name: str) -> Any:
    """A folder that convert wrote."""
    import numpy as np

    from model_ports import checkpoint

    for other, whole in seeds("checkpoint").items():
        _put(folder / "net", other, whole)
    _put(folder / "net", name, content)
    meta = checkpoint.read_meta(folder / "net")
    if name == checkpoint.META:
        _plain(meta)
    wanted = {"layer": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}}
    return checkpoint.load(folder / "net", wanted, model="net", zoo="digits")


def _plain(meta: Any) -> None:
    """What a manifest makes of it."""
    from jaxadv.store.identity import plain

    json.dumps(plain(meta))


# --- data --------------------------------------------------------------------


def _picture(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.data import pictures

    return pictures.decode(content, 16, pictures.Reading(not_rgb="convert"))


def _unusable() -> tuple[type[Exception], ...]:
    from jaxadv.data.pictures import Unusable

    return (Unusable,)


def _arrays(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.data import arrays, pictures

    source = arrays.open_npz(str(_put(folder, name, content)), name="npz")
    return source.draw(0, 8, pictures.Reading())


def _images(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.validation import predict

    return predict.read_images(str(_put(folder, name, content)), size=8, double=False)


def _labels(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.data import label_list

    names = ("a.jpg", "b c.jpg", "d.png")
    return label_list.labels(_put(folder, name, content), [folder / name for name in names])


def _flagfile(folder: Path, content: bytes, name: str) -> Any:
    from absl.testing import flagsaver

    from jaxadv.commands import cli

    path = _put(folder, name, content)
    with flagsaver.flagsaver():
        here = os.getcwd()
        os.chdir(folder)
        try:
            return cli._parsed(["run.py", "report", f"--flagfile={path}"])
        finally:
            os.chdir(here)


def _archive(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.fetching import tarball

    return [
        sum(map(len, member.blocks()))
        for member in tarball.members(_put(folder, name, content))
        if member.is_file
    ]


def _fetched(folder: Path, content: bytes, name: str) -> Any:
    """What fetch wrote down."""
    from jaxadv.fetching.folder import Folder
    from jaxadv.fetching.record import Record

    _put(folder, name, content)
    to = Folder(folder)
    return to.has_pictures(["0" * 64]), to.has_network("net", ["1" * 64]), Record(folder).content


# --- runs --------------------------------------------------------------------


def _run(folder: Path, content: bytes, name: str) -> Any:
    """A part, the manifest or the list of a run whose other files are as they are."""
    from jaxadv.store import clearing
    from jaxadv.store.rows import KINDS
    from jaxadv.store.run import Run

    for other, whole in seeds("run").items():
        _put(folder, other, whole)
    path, run = _put(folder, name, content), Run(folder)
    if path.suffix == ".json":
        run.manifest(), clearing.listed(folder), run.belonging
        return run.claim([folder / "report.html"])
    kind = path.parent.name
    try:
        return run.read(kind)
    except InputError as error:
        assert "\n" not in str(error)
        assert not run.has(kind, "a") and kind in KINDS
        raise


def _journal(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.core.journal import Journal

    _put(folder, name, content)
    journal = Journal(folder, "a", seconds=0, digest="d")
    return journal.outcomes(), journal.lanes("0")


def _kept_images(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.store import image_store

    for other, whole in seeds("images").items():
        _put(folder, other, whole)
    _put(folder, name, content)
    image_store.has(folder, "a", digest="d")
    return image_store.read(folder, "a")


def _shard(folder: Path, content: bytes, name: str) -> Any:
    """Decoded pictures that are kept."""
    from jaxadv.data.cache import read_shard

    for other, whole in seeds("decoded").items():
        _put(folder, other, whole)
    _put(folder, name, content)
    if read_shard(folder, "shard", [[1, 2, 3]] * 3) is None:
        raise InputError("decoded again")


def _traced(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.core import programs

    if programs._read(_put(folder, name, content)) is None:
        raise InputError("traced again")


class _Files:
    """As JAX keeps its programs: a file each."""

    def __init__(self, folder: Path):
        self._path = folder

    def get(self, key: str) -> bytes | None:
        return (self._path / f"{key}-cache").read_bytes()

    def put(self, key: str, value: bytes) -> None:
        _put(self._path, f"{key}-cache", value)


def _compiled(folder: Path, content: bytes, name: str) -> Any:
    from jaxadv.core.kept import Sealed

    _put(folder, name, content)
    if Sealed(_Files(folder)).get(name.removesuffix("-cache")) is None:
        raise InputError("compiled again")


# --- checksums ---------------------------------------------------------------


def _sealed(content: bytes) -> bytes:
    """A file of `files.write_sealed`."""
    head, _, rest = content.partition(b"\n")
    try:
        label = json.loads(head)["label"]
        return files._seal(rest, label) + rest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return content


def _sealed_run(content: bytes) -> bytes:
    """A part, the manifest or the list."""
    from jaxadv.store import manifest, parts

    if content[:4] == b"PAR1":
        length = int.from_bytes(content[-8:-4], "little") + 8
        start = len(content) - length
        seal = next(reversed(list(parts._SEAL.finditer(content, max(0, start)))), None)
        if start < 0 or seal is None:
            return content
        opened = content[: seal.start()] + parts._OPEN + content[seal.end() :]
        sums = (
            zlib.crc32(opened[:start]),
            zlib.crc32(
                opened[start : seal.start(1)]
                + b"%08x" % zlib.crc32(opened[:start])
                + opened[seal.end(1) :]
            ),
        )
        return opened[: seal.start()] + b"seal:%08x:%08x" % sums + opened[seal.end() :]
    if content.startswith(b'{"sha256"'):
        return _sealed(content)
    try:
        entries = json.loads(content)
        entries.pop(manifest.CHECKSUM, None)
        entries[manifest.CHECKSUM] = manifest._checksum(entries)
        return json.dumps(entries).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return content


def _sealed_meta(content: bytes) -> bytes:
    """meta.json of a checkpoint."""
    from model_ports import checkpoint

    try:
        meta = json.loads(content)
        meta.pop(checkpoint.CHECKSUM, None)
        meta[checkpoint.CHECKSUM] = checkpoint._checksum(meta)
        return json.dumps(meta).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return content


@cache
def readers() -> dict[str, Reader]:
    """All of them by name."""
    return {
        "weights": Reader("weights", _weights),
        "weights in several files": Reader("several", _several),
        "graph of a checkpoint": Reader("graph", _graph),
        "weights of Keras": Reader("keras", _weights, needs="h5py"),
        "weights of PyTorch": Reader("torch", _weights, needs="torch"),
        "checkpoint": Reader("checkpoint", _checkpoint, repaired=_sealed_meta),
        "pictures": Reader("pictures", _picture, _unusable()),
        "arrays": Reader("arrays", _arrays),
        "images of predict": Reader("images_of_predict", _images),
        "label lists": Reader("lists", _labels),
        "flagfiles": Reader("flagfiles", _flagfile),
        "archives": Reader("archives", _archive),
        "what fetch wrote down": Reader("fetched", _fetched),
        "parts and manifest": Reader("run", _run, repaired=_sealed_run),
        "journals": Reader("journals", _journal, repaired=_sealed),
        "kept images": Reader("images", _kept_images),
        "decoded pictures": Reader("decoded", _shard, repaired=_sealed),
        "traced programs": Reader("traced", _traced, repaired=_sealed),
        "compiled programs": Reader("compiled", _compiled),
    }


def one(reader: Reader, folder: Path, content: bytes, name: str) -> bool:
    """Give a reader one file; whether it read it. Anything else than a line is raised."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        reader.read(folder, content, name)
    except reader.refusals as error:
        assert "\n" not in str(error) and len(str(error)) < 2000, f"more than a line: {error}"
        return False
    return True
