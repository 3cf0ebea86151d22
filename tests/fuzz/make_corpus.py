"""Writes the files from which inputs of the fuzzing are made: python tests/fuzz/make_corpus.py,
from the project's folder.

h5py and PyTorch are needed for theirs; what needs a package that is not there stays as it is.
"""

import io
import json
import pickle
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path += [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
sys.path += [str(Path(__file__).parents[1] / room) for room in ("store", "fetching", "data")]

import numpy as np
import writers
from fuzz_readers import CORPUS

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "net/conv1/weights": RANDOM.normal(size=(2, 2, 3, 2)).astype(np.float32),
    "net/conv1/biases": RANDOM.normal(size=2).astype(np.float32),
    "net/fc/weights": RANDOM.normal(size=(4, 3)),
    "global_step": np.array(7, np.int64),
}
"""Of a very small network; one has double precision, and one is no parameter."""


def put(name: str, content: bytes | str) -> None:
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def weights() -> None:
    put("weights/model.npz", writers.npz({f"{name}.npy": array for name, array in ARRAYS.items()}))
    members = {f"{name}.npy": array for name, array in ARRAYS.items()}
    put("weights/deflated.npz", writers.npz(members, compression=zipfile.ZIP_DEFLATED))
    put("weights/model.safetensors", writers.safetensors(ARRAYS))
    put("weights/model.pb", writers.frozen_graph(ARRAYS))


def several() -> None:
    index, data = writers.bundle(ARRAYS, per_block=2)
    put("several/bundle/model.ckpt.index", index)
    put("several/bundle/model.ckpt.data-00000-of-00001", data)
    names = sorted(ARRAYS)
    places = {name: f"model-{1 + at % 2:05d}-of-00002.safetensors" for at, name in enumerate(names)}
    for file in set(places.values()):
        some = {name: ARRAYS[name] for name in names if places[name] == file}
        put(f"several/shards/{file}", writers.safetensors(some))
    known = {"metadata": {"total_size": 99}, "weight_map": places}
    put("several/shards/model.safetensors.index.json", json.dumps(known))


def graph() -> None:
    variable = writers.node("net/conv1/weights", "VariableV2", dtype=writers.field(6, 1))
    read = writers.node("net/conv1/weights/read", "Identity", "net/conv1/weights")
    library = writers.field(2, writers.field(1, writers.field(3, b"\x0a\x01a\x12\x01b")))
    graph_def = writers.node("input", "Placeholder") + variable + read + library
    put("graph/model.ckpt.meta", writers.field(1, b"\x0a\x00") + writers.field(2, graph_def))


def keras() -> None:
    import h5py

    kernel, bias = ARRAYS["net/conv1/weights"], ARRAYS["net/conv1/biases"]
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(f"{folder}/old.h5", "w") as file:
            file["model_weights/conv1/conv1/kernel:0"] = kernel
            file["model_weights/conv1/conv1/bias:0"] = bias
        with h5py.File(f"{folder}/new.weights.h5", "w") as file:
            file["layers/conv2d/vars/0"], file["layers/conv2d/vars/1"] = kernel, bias
            file["layers/conv2d/vars"].attrs["name"] = "conv1"
        for name in ("old.h5", "new.weights.h5"):
            put(f"keras/{name}", Path(folder, name).read_bytes())
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("config.json", "{}")
            archive.write(f"{folder}/new.weights.h5", "model.weights.h5")
        put("keras/new.keras", stream.getvalue())


def torch() -> None:
    import torch

    tensors = {
        "conv1.weight": torch.ones(2, 2, 1, 1),
        "conv1.bias": torch.zeros(2),
        "bn.num_batches_tracked": torch.tensor(3),
    }
    for name, options in (("zip.pth", {}), ("old.pth", {"_use_new_zipfile_serialization": False})):
        stream = io.BytesIO()
        torch.save({"state_dict": tensors, "epoch": 3}, stream, **options)
        put(f"torch/{name}", stream.getvalue())


def checkpoint() -> None:
    from model_ports import checkpoint

    params = {
        "layer": {
            "kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
            "bias": np.zeros(3, np.float32),
        }
    }
    checkpoint.save(CORPUS / "checkpoint", params, {"model": "net", "zoo": "digits", "size": 8})


def pictures() -> None:
    import drawn

    picture = drawn.picture(0, 20, 18)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        put(f"pictures/plain.{kind.lower()}", drawn.encoded(picture, kind))
    for name, image, kind, options in (
        ("progressive.jpeg", picture, "JPEG", {"progressive": True}),
        ("cmyk.jpeg", picture.convert("CMYK"), "JPEG", {}),
        ("palette.png", picture.convert("P"), "PNG", {}),
        ("alpha.png", picture.convert("RGBA"), "PNG", {}),
        ("packed.tiff", picture, "TIFF", {"compression": "tiff_lzw"}),
        ("deflated.tiff", picture, "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("lossless.webp", picture, "WEBP", {"lossless": True}),
    ):
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        put(f"pictures/{name}", stream.getvalue())


def arrays() -> None:
    images = RANDOM.integers(0, 256, (3, 8, 8, 3), np.uint8)
    floats = {
        "images": images / np.float32(255),
        "labels": np.arange(3),
        "num_classes": np.array(4),
    }
    for name, save, content in (
        (
            "bytes.npz",
            np.savez,
            {"images": images, "labels": np.arange(3), "ids": np.arange(3) + 5},
        ),
        ("floats.npz", np.savez_compressed, floats),
    ):
        stream = io.BytesIO()
        save(stream, **content)
        put(f"arrays/{name}", stream.getvalue())
    put("images_of_predict/images.npy", writers.npy(images / np.float32(255)))
    put("images_of_predict/double.npy", writers.npy(np.asfortranarray(images / 255)))


def lists() -> None:
    lines = (("a.jpg", 5), ("b c.jpg", 0), ("d.png", 999))
    put(
        "lists/labels.csv",
        "name,label\n" + "".join(f'"{name}",{label}.0\n' for name, label in lines),
    )
    put(
        "lists/labels.tsv",
        "".join(f"{at}\t{name}\t{label}\n" for at, (name, label) in enumerate(lines)),
    )
    put("lists/labels.txt", "".join(f"{name} {label}\n" for name, label in lines))
    kaggle = "".join(f"{name},n01440764 1 2 3 4 \n" for name, _ in lines)
    put("lists/LOC_val_solution.csv", f"ImageId,PredictionString\n{kaggle}")


def flagfiles() -> None:
    put("flagfiles/plain.flags", "# mine\n--out=results/mine\n\n--figures=pictures\n")
    put("flagfiles/wide.flags", "--out=größer\n// so\n--figures=a*,b*\n".encode("utf-16"))


def archives() -> None:
    import tarfile

    from made_archives import packed

    members = [("folder/", b""), ("folder/a.jpg", b"\xff\xd8" * 300), ("b.txt", b"some\n")]
    put("archives/gnu.tar.gz", packed([*members, ("x" * 150, b"long name")]))
    pax = packed([*members, ("ü" * 120, b"long name")], format=tarfile.PAX_FORMAT)
    put("archives/pax.tar.gz", pax)


def fetched() -> None:
    from jaxadv.fetching.folder import MARK, marked

    put(f"fetched/pictures/{MARK}", json.dumps(marked("0" * 64, 0)))
    section = {"weights": {"file": "w.tar.gz", "bytes": 3, "sha256": "1" * 64}}
    put("fetched/fetched.json", json.dumps({"archives": section, "networks": {}, "pictures": {}}))


def runs() -> None:
    from test_belonging import identity, rows

    from jaxadv.core.journal import Journal
    from jaxadv.store import image_store
    from jaxadv.store.rows import KINDS
    from jaxadv.store.run import Run

    with Run.begin(CORPUS / "run", identity()) as run:
        for kind in KINDS:
            run.append(kind, rows(kind, 2), part="a")
        run.claim([CORPUS / "run" / "report.html"])
    (CORPUS / "run" / ".lock").unlink()
    journal = Journal(CORPUS / "journals", "a", seconds=0, digest="d")
    for item in range(2):
        journal.add(item, [np.arange(3.0), np.float32(item)])
    journal.write("0", {"holds": np.arange(4), "leaf0": np.ones((2, 3))})
    image_store.write(CORPUS / "images", "a", RANDOM.random((2, 4, 4, 3), np.float32), digest="d")


def decoded() -> None:
    from jaxadv.data.cache import Shard, write_shard

    images = RANDOM.integers(0, 256, (2, 4, 4, 3), np.uint8)
    shard = Shard(images, [0, 2], {1: "tiny (1x1 pixels)"}, ["a", "b", "c"])
    write_shard(CORPUS / "decoded", "shard", shard, [[1, 2, 3]] * 3)


def programs() -> None:
    import jax
    import jax.numpy as jnp
    from jax import export

    from jaxadv.core import kept
    from jaxadv.support.files import write_sealed

    image = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    text = export.export(jax.jit(lambda x: jnp.sin(2 * x)))(image).serialize()
    write_sealed(CORPUS / "traced" / "text", bytes(text), "text")
    content = pickle.dumps(list(range(300)))  # JAX's own are not looked into
    put("compiled/jit_f-0-cache", kept._seal("jit_f-0", content) + b"\n" + content)


MAKERS: tuple[Callable[[], None], ...] = (
    *(weights, several, graph, keras, torch, checkpoint, pictures, arrays, lists, flagfiles),
    *(archives, fetched, runs, decoded, programs),
)
FOLDERS = {
    arrays: ("arrays", "images_of_predict"),
    runs: ("run", "journals", "images"),
    programs: ("traced", "compiled"),
}
"""Of makers that are not called as their folder is."""


def main() -> None:
    for make in MAKERS:
        folders = FOLDERS.get(make, (make.__name__,))
        aside = Path(tempfile.mkdtemp())
        for folder in folders:
            if (CORPUS / folder).exists():
                shutil.move(CORPUS / folder, aside / folder)
        try:
            make()
        except ImportError as error:
            print(f"{', '.join(folders)}: {error}; left as it was")
            for folder in folders:
                if (aside / folder).exists():
                    shutil.move(aside / folder, CORPUS / folder)
        shutil.rmtree(aside)
    sizes = [path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()]
    print(f"{len(sizes)} files, {sum(sizes)} bytes")


if __name__ == "__main__":
    main()
