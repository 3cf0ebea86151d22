"""Refuses files that people mistake for weights, and says what to give instead.

Such files are pointers, web pages, graphs in other formats, archives and folders.
"""

import re
from pathlib import Path

from model_ports.errors import InputError

HEAD = 512
"""The number of first bytes that are examined."""

_KNOWN = (  # first bytes, what the file is, what to do
    (
        rb"version https://git-lfs",
        "a Git-LFS pointer, not the file it stands for",
        "run git lfs pull where it was cloned, or download the file itself",
    ),
    (
        rb"\s*<(!doctype|html|\?xml)",
        "a web page, not a file of weights",
        "download the file itself, often behind a link called raw or download",
    ),
    (
        rb"\x1f\x8b|BZh|\xfd7zXZ\0|7z\xbc\xaf|Rar!",
        "a packed archive",
        "unpack it, and give the file of weights inside",
    ),
    (
        rb"....TFL3",
        "a TensorFlow Lite model",
        "give the checkpoint or frozen graph that it was made from",
    ),
    (
        rb"GGUF|ggml|ggjt",
        "a file of llama.cpp's",
        "give the weights that it was made from, as .safetensors",
    ),
)
_ENDINGS = {
    ".caffemodel": "a Caffe model",
    ".mlmodel": "a Core ML model",
    ".msgpack": "Flax's msgpack",
    ".engine": "a TensorRT engine",
    ".tflite": "a TensorFlow Lite model",
    ".mar": "an archive of TorchServe",
    ".pt2": "an exported program of PyTorch's",
    ".mat": "a file of Matlab's",
}
"""Files of other programs, which are not told by their first bytes alone."""
_INSTEAD_OF_ONNX = (
    "give the weights that it was exported from, or save its initializers under the original names "
    "with numpy.savez"
)


def check(path: Path, head: bytes) -> None:
    """Refuse a file by its first bytes.

    Args:
        path: the file.
        head: its first `HEAD` bytes.

    Raises:
        InputError: if it is known not to be weights. The error says what to give instead.
    """
    for pattern, what, remedy in _KNOWN:
        if re.match(pattern, head, re.IGNORECASE | re.DOTALL):
            raise InputError(f"{path} is {what}; {remedy}")
    if path.suffix in _ENDINGS:
        raise InputError(
            f"{path} is {_ENDINGS[path.suffix]}, which is not read; save its arrays under the "
            "original names with numpy.savez"
        )
    # A SavedModel begins with the version 1 of its schema, and then a graph.
    if path.name == "saved_model.pb" or head.startswith(b"\x08\x01\x12"):
        raise saved_model(path)
    if path.suffix == ".onnx" or _is_onnx(head):
        raise InputError(f"{path} is an ONNX model; {_INSTEAD_OF_ONNX}")
    if path.name.endswith(".bin.index.json"):
        raise InputError(
            f"{path} lists the parts of pickles; give the .safetensors of the same model, or its "
            "index"
        )
    if path.suffix == ".json":
        raise InputError(f"{path} is JSON without weights; give the file of weights beside it")


def check_folder(path: Path) -> None:
    """Refuse a folder if a file in it is probably meant.

    Raises:
        InputError: names that file.
    """
    if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
        raise saved_model(path)
    names = (
        "model.safetensors.index.json",
        "model.safetensors",
        "model.weights.h5",
        "pytorch_model.bin",
        "model.onnx",
    )
    inside = next((name for name in names if (path / name).is_file()), None)
    if inside:
        raise InputError(f"{path} is a folder; give the file in it: {path / inside}")


def saved_model(path: Path) -> InputError:
    """Make the error for a SavedModel."""
    return InputError(
        f"{path} is a SavedModel, whose graph is a program; give the checkpoint or frozen graph "
        "that it was made from; or load it with TensorFlow, and save its weights as .h5 or .npz"
    )


def _is_onnx(head: bytes) -> bool:
    """True if the bytes begin an ONNX ModelProto.

    It has its version (field 1, 3 or more), and then the producer's name (field 2) or a message.
    """
    return (
        len(head) > 3 and head[0] == 0x08 and 3 <= head[1] < 0x20 and head[2] in (0x12, 0x3A, 0x42)
    )
