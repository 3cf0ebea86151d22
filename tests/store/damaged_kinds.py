"""Every kind of file that is read back: how it is made, what a command makes of it, and what the
next command does.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from program_files import Files
from test_belonging import identity, made, part, rows

from jaxadv.core.journal import Journal
from jaxadv.store import clearing, image_store, manifest
from jaxadv.store import run as store
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run
from jaxadv.support import log

AGAIN = "made again"
"""What `Kind.look` gives where a file is not used, and what it held is computed again."""


class Kind(NamedTuple):
    """Files of one kind.

    Args:
        files: of which one has a bit changed.
        look: what a command makes of them: frames, arrays, text, or AGAIN. Raises InputError.
        again: what is done then, so that the next look finds all as it was; None: the user puts the
            file back.
    """

    files: list[Path]
    look: Callable[[], Any]
    again: Callable[[], None] | None = None


def of_part(folder: Path, kind: str) -> Kind:
    """Rows."""
    run = made(folder, identity(), "a", kinds=(kind,), count=5)
    expected, path = rows(kind, 5), part(folder, kind, "a")

    def look() -> Any:
        store._said.clear()
        found = run.read(kind)
        return found if len(found) else AGAIN  # a line says that it is left out

    def again() -> None:
        if not run.has(kind, "a"):
            with Run.begin(folder, identity()) as writing:
                writing.append(kind, expected, part="a")
        for aside in path.parent.glob("*.set-aside*"):
            aside.unlink()

    return Kind([path], look, again)


def of_manifest(folder: Path) -> Kind:
    made(folder, identity(), "a", kinds=("clean",))
    run = Run(folder)

    def look() -> str:
        store._said.clear()
        return json.dumps(run.manifest(), sort_keys=True)

    return Kind([folder / manifest.NAME], look, lambda: Run.begin(folder, identity()).close())


def of_list(folder: Path) -> Kind:
    """The list of tables, figures and page. The manifest has a copy."""
    run = made(folder, identity(), "a", kinds=("clean",))
    names = [folder / "report.html", folder / "tables" / "a.csv"]
    run.claim(names)

    def look() -> Any:
        run.claim(names)
        return sorted(clearing.listed(folder))

    return Kind([folder / clearing.LIST], look)


def of_journal(folder: Path, what: str) -> Kind:
    """Unfinished work: "lanes" or "outcomes"."""

    def write() -> None:
        journal = Journal(folder, "a-cw-0000", seconds=0, digest="d")
        for item in range(3):
            journal.add(item, [np.arange(20.0), np.float32(item)])
        journal.write("0", {"holds": np.arange(4), "leaf0": np.ones((4, 8))})

    def look() -> Any:
        journal = Journal(folder, "a-cw-0000", seconds=0, digest="d")
        if what == "lanes":
            return journal.lanes("0") or AGAIN
        return {
            str(item): np.concatenate([a, [b]]) for item, (a, b) in journal.outcomes().items()
        } or AGAIN

    def again() -> None:
        for path in folder.iterdir():
            path.unlink()
        write()

    write()
    return Kind(sorted(folder.glob(f"*+{what}*")), look, again)


def of_images(folder: Path) -> Kind:
    """Adversarial images: Zarr's metadata and chunks."""
    images = np.random.default_rng(0).random((5, 8, 8, 3), np.float32)

    def write() -> None:
        image_store.write(folder, "a", images, digest="d")

    def look() -> Any:
        whole = image_store.has(folder, "a", digest="d")
        found = image_store.read(folder, "a")
        return found if whole else AGAIN

    write()
    return Kind([path for path in folder.rglob("*") if path.is_file()], look, write)


def of_log(folder: Path) -> Kind:
    def look() -> str:
        with log.to_file(folder):
            return "continued"

    look()
    return Kind([folder / "log" / "process-0.log"], look)


def of_compiled(folder: Path) -> Kind:
    from jaxadv.core.kept import Sealed

    cache, content = Sealed(Files(folder)), bytes(range(256)) * 4
    cache.put("jit_f", content)
    return Kind(
        [folder / "jit_f-cache"],
        lambda: cache.get("jit_f") or AGAIN,
        lambda: cache.put("jit_f", content),
    )


def of_traced(folder: Path) -> Kind:
    import jax
    import jax.numpy as jnp
    from jax import export

    from jaxadv.core import programs
    from jaxadv.support.files import write_sealed

    image = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    text = bytes(export.export(jax.jit(lambda x: jnp.sin(2 * x)))(image).serialize())

    def write() -> None:
        write_sealed(folder / "text", text, "text")

    def look() -> Any:
        found = programs._read(folder / "text")
        return AGAIN if found is None else found.mlir_module()

    write()
    return Kind([folder / "text"], look, write)


def of_checkpoint(folder: Path) -> Kind:
    """Trained or converted weights."""
    from model_ports import checkpoint

    params = {"layer": {"kernel": np.arange(96, dtype=np.float32).reshape(8, 12)}}
    checkpoint.save(
        folder / "net", params, {"model": "net", "zoo": "digits", "test_accuracy": 0.97}
    )

    def look() -> Any:
        found, meta = checkpoint.load(folder / "net", params)
        known = {name: value for name, value in meta.items() if name in KNOWN}
        return {"kernel": found["layer"]["kernel"], "meta": json.dumps(known, sort_keys=True)}

    return Kind([path for path in (folder / "net").rglob("*") if path.is_file()], look)


KNOWN = ("model", "zoo", "test_accuracy", "format", "num_arrays", "sha256", "arrays")
"""What a checkpoint says of itself.

Its own checksum may be called otherwise: then nothing is compared, and nothing else changed.
"""


def of_decoded(folder: Path) -> Kind:
    """Decoded pictures."""
    from jaxadv.data.cache import Shard, read_shard, write_shard

    images = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 3), np.uint8)
    shard = Shard(images, [0, 1, 2], {}, ["a", "b", "c"])

    def write() -> None:
        write_shard(folder, "shard", shard, [[1, 2]] * 3)

    def look() -> Any:
        found = read_shard(folder, "shard", [[1, 2]] * 3)
        if found is None:
            return AGAIN
        return {"images": np.array(found.images), "rest": json.dumps([*found[1:]])}

    write()
    return Kind([folder / "shard.npy", folder / "shard.json"], look, write)


def of_arrays(folder: Path) -> Kind:
    """Data as an .npz."""
    from jaxadv.data import arrays, pictures

    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    np.savez(
        folder / "a.npz", images=images, labels=np.arange(3), ids=np.arange(3) + 5, num_classes=4
    )

    def look() -> Any:
        source = arrays.open_npz(str(folder / "a.npz"), name="npz")
        drawn = [source.draw(index, 8, pictures.Reading()) for index in range(3)]
        known = [source.ids.tolist(), source.labels.tolist(), source.num_classes]
        return {"images": np.stack(drawn), "rest": json.dumps(known)}

    return Kind([folder / "a.npz"], look)


def of_weights(folder: Path, ending: str) -> Kind:
    """A file of weights in a format that has checksums: npz or ckpt."""
    import writers

    from model_ports.convert import sources

    arrays = {f"net/{name}": np.random.default_rng(0).random((4, 5), np.float32) for name in "ab"}
    if ending == "npz":
        content = writers.npz({f"{name}.npy": array for name, array in arrays.items()})
        (folder / "net.npz").write_bytes(content)
    else:
        index, data = writers.bundle(arrays)
        (folder / "net.ckpt.index").write_bytes(index)
        (folder / "net.ckpt.data-00000-of-00001").write_bytes(data)
    files = sorted(folder.iterdir())
    return Kind(files, lambda: sources.read(folder / f"net.{ending}"))


def of_mark(folder: Path) -> Kind:
    """What fetch says of the pictures."""
    from jaxadv.fetching.folder import MARK, Folder, marked

    (folder / "pictures").mkdir()
    path = folder / "pictures" / MARK

    def write() -> None:
        path.write_text(json.dumps(marked("ab" * 32, 0)))

    def look() -> Any:
        return "here" if Folder(folder).has_pictures(["ab" * 32]) else AGAIN

    write()
    return Kind([path], look, write)


MAKERS: dict[str, Callable[[Path], Kind]] = {
    **{f"part of {kind}": lambda folder, kind=kind: of_part(folder, kind) for kind in KINDS},
    "manifest": of_manifest,
    "list of files": of_list,
    "journal of outcomes": lambda folder: of_journal(folder, "outcomes"),
    "journal of lanes": lambda folder: of_journal(folder, "lanes"),
    "adversarial images": of_images,
    "log": of_log,
    "compiled program": of_compiled,
    "traced program": of_traced,
    "checkpoint": of_checkpoint,
    "decoded pictures": of_decoded,
    "data in .npz": of_arrays,
    "weights in .npz": lambda folder: of_weights(folder, "npz"),
    "TensorFlow checkpoint": lambda folder: of_weights(folder, "ckpt"),
    "fetched pictures": of_mark,
}
