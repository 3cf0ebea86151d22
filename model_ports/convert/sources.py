"""Recognises the format of any weight file by its content, and reads its arrays by original
names.
"""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from model_ports.convert import (
    frozen_graph,
    keras_h5,
    npz,
    prefixes,
    safetensors,
    same_function,
    shards,
    strangers,
    tf_checkpoint,
    torch_state,
)
from model_ports.convert.arrays import LIMIT
from model_ports.errors import InputError
from model_ports.registry import Network
from model_ports.weight_map import assemble

VERSION = 1
"""The version of the converter. Raise it when the same file would give other parameters."""

KINDS = (
    "a frozen .pb, a TensorFlow checkpoint's prefix, .npz, .safetensors, Keras's .h5 or "
    ".keras, or PyTorch's .pth"
)


class Source(NamedTuple):
    """A file of weights, or the files of a checkpoint."""

    path: Path
    format: str
    files: tuple[Path, ...]
    reader: Callable[[Path, int], dict[str, np.ndarray]]

    def sha256(self) -> str:
        """The SHA-256 in hexadecimal. Several files count as one, in order, the index first."""
        digest = hashlib.sha256()
        for file in self.files:
            with open(file, "rb") as stream:
                while block := stream.read(2**22):
                    digest.update(block)
        return digest.hexdigest()


def read(path: str | Path, *, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of a file.

    Args:
        path: the file, or the prefix of a checkpoint.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        Finite float32 arrays by name, as views of the file if possible. The names are the
        original's, except in files of Keras (`keras_h5`) and PyTorch (`torch_state`).

    Raises:
        InputError: if the file is missing, unknown, damaged, too large or of another precision, or
            if it would have to be executed or unpickled. The message is one line with its name.
    """
    source = find(path)
    try:
        arrays = source.reader(source.path, limit)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); give a file that can"
        ) from None
    if not arrays:
        raise InputError(f"{path} has no weights in it; give the file of this very model")
    return arrays


def parameters(path: str | Path, network: Network) -> dict[str, Any]:
    """Read the parameters of a network.

    Names of Keras and PyTorch are translated if the network is the same function there. A prefix
    that all names share is removed if they fit without it.

    Args:
        path: the file, or the prefix of a checkpoint.
        network: the network.

    Returns:
        A nested dict of NumPy arrays.

    Raises:
        InputError: as `read`, or if the arrays do not fit the network, or if the network is another
            function in the file's framework.
    """
    numbers = sum(leaf.size for leaf in jax.tree.leaves(network.abstract()))
    framework = {
        keras_h5.FORMAT: "keras",
        keras_h5.ARCHIVE: "keras",
        torch_state.FORMAT: "torch",
    }.get(find(path).format)
    if framework is not None:
        same_function.check(network.spec.name, framework, path)
    # The limit allows double precision, and as much again for arrays that a port does not need.
    arrays = read(path, limit=16 * numbers + 2**24)
    if framework != "keras" and torch_state.recognises(arrays):
        torch_state.refuse_transformers(Path(path), arrays)
        if framework is None:
            framework = "torch"
            same_function.check(network.spec.name, framework, path)
    try:
        if framework is not None:
            arrays = {"keras": keras_h5, "torch": torch_state}[framework].translate(arrays, network)
        else:
            arrays = prefixes.without(arrays, network.spec.weight_map)
        return assemble(network.spec.weight_map, arrays, network.abstract())
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def find(path: str | Path) -> Source:
    """Recognise a file by its first and last bytes, or else by its suffix.

    Args:
        path: the file, or the prefix of a checkpoint.

    Raises:
        InputError: if the file is missing or unknown.
    """
    path = Path(path)
    try:
        prefix = tf_checkpoint.prefix_of(path)
        if prefix is not None:
            return Source(
                prefix,
                "TensorFlow checkpoint",
                tuple(tf_checkpoint.files(prefix)),
                tf_checkpoint.read,
            )
        if path.is_dir():
            strangers.check_folder(path)
            raise InputError(f"{path} is a folder; a file is needed: {KINDS}")
        if not path.is_file():
            raise InputError(
                f"no file {path}, and no {path.name}.index of a checkpoint: give {KINDS}"
            )
        if path.name.endswith(shards.ENDING):
            return Source(path, shards.FORMAT, tuple(shards.files(path)), shards.read)
        format, reader = _recognise(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); give a file that can"
        ) from None
    return Source(path, format, (path,), reader)


def _recognise(path: Path) -> tuple[str, Callable]:
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(strangers.HEAD)
        file.seek(max(0, size - 8))
        tail = file.read(8)
    if not size:
        raise InputError(f"{path} is empty; copy or download it again")
    strangers.check(path, head)
    if path.suffix in (".pth", ".pt") or (head.startswith(b"PK\x03\x04") and _is_torch(path)):
        return torch_state.FORMAT, torch_state.read
    if head.startswith(b"PK\x03\x04") and keras_h5.is_archive(path):
        return keras_h5.ARCHIVE, keras_h5.read
    if head.startswith(b"PK") or path.suffix == ".npz":
        return ".npz", npz.read
    if head.startswith(b"\x89HDF"):
        return keras_h5.FORMAT, keras_h5.read
    if (
        head[:1] == b"\x80"
        and head[1:2] in (b"\2", b"\3", b"\4", b"\5")
        or path.suffix in (".pkl", ".pickle")
    ):
        raise _pickle(path, "a pickle")
    if head.startswith(b"\x93NUMPY"):
        raise InputError(
            f"{path} is a single NumPy array; many are needed, by name: save them with numpy.savez"
        )
    if tail == tf_checkpoint.MAGIC:
        return "TensorFlow checkpoint, version 1", tf_checkpoint.read_v1
    if (
        path.suffix == ".safetensors"
        or head[8:9] == b"{"
        and int.from_bytes(head[:8], "little") <= size
    ):
        shards.check_is_whole(path)
        return ".safetensors", safetensors.read
    if path.suffix == ".pb" or head[0] == 0x0A:  # a GraphDef begins with a node, its field 1
        return "frozen graph", frozen_graph.read
    raise InputError(f"{path} is of no known format, or it is damaged; give {KINDS}")


def _is_torch(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False  # npz.read reports the damage


def _pickle(path: Path, what: str) -> InputError:
    return InputError(
        f"{path} is {what}, which was not loaded: it could run code; save its arrays under their "
        f"original names: {KINDS}"
    )
