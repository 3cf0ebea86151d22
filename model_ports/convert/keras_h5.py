"""Reads HDF5 files of keras.applications: `.h5`, `.weights.h5` and `.keras`.

A `.h5` has weights or a whole model, from any version of Keras. The others are from Keras 3. A
`.keras` is a zip archive with a `model.weights.h5` inside.

h5py reads the arrays, and nothing else. No model is built. The configuration in a file may have
Lambda layers with code; it is never read. A file with a link to another file, or with data stored
outside, is refused.
"""

import io
import mmap
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from model_ports.convert import slim_layers
from model_ports.convert.arrays import LIMIT, Collector, is_zip
from model_ports.convert.foreign import Layers, Row, originals
from model_ports.errors import InputError, said

FORMAT = "Keras HDF5"
ARCHIVE = "Keras archive"
WEIGHTS = "model.weights.h5"
"""The member of an archive that has the weights."""

_HEAP = b"GCOL\x01"
"""The first bytes of a global heap of HDF5, where names of Keras 3 lie."""

_PART = re.compile(
    r"(?:.*_)?(?:(?P<kernel>kernel|W)|(?P<bias>bias|b)|(?P<gamma>gamma)|(?P<beta>beta)"
    r"|(?P<mean>moving_mean|running_mean)|(?P<variance>moving_variance|running_std))(?:_\d+)?(?::0)?"
)
_TRAINING = re.compile(
    r"(?:.*/)?(?:seed_generator(?:_\d+)?|optimizer|optimizer_weights)(?:/.*)?|.*seed_generator_state(?::0)?"
)


def is_archive(path: Path) -> bool:
    """True if a zip archive is one of Keras."""
    try:
        with zipfile.ZipFile(path) as archive:
            return WEIGHTS in archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _opened(path: Path, limit: int) -> Path | BinaryIO:
    """The HDF5 file, or the one inside an archive, in memory."""
    if not is_zip(path):
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(WEIGHTS).file_size
            if size > limit + 2**24:
                raise InputError(
                    f"{path}: {WEIGHTS} is larger than {limit} bytes, more than the network can "
                    "use; give this very model's"
                )
            return io.BytesIO(archive.read(WEIGHTS))
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        reason = said(error)
        raise InputError(
            f"{path} is not a .keras archive, or it is damaged ({reason}); copy it again"
        ) from None


def read(path: Path, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Read the arrays of a file.

    Args:
        path: the file.
        limit: the largest size of all arrays together, in bytes.

    Returns:
        float32 arrays by "<layer>/<part>", with parts from `foreign.PARTS`.

    Raises:
        InputError: if the file cannot be used, or if h5py is not installed.
    """
    source = _opened(path, limit)
    try:
        import h5py
    except ImportError:
        raise InputError(
            f"{path} is an HDF5 file, which takes h5py: pip install 'jaxadv[keras]', or save its "
            "arrays by original names as .npz"
        ) from None
    _refuse_endless_heaps(path, source)
    collector = Collector(path, limit)
    try:
        with h5py.File(source, "r") as file:
            _refuse_other_files(path, file, h5py)
            top: Any = file["model_weights"] if "model_weights" in file else file
            named = _numbered(path, top["layers"], h5py) if "layers" in top else _named(top, h5py)
            for name, data in named:
                if collector.wants(name, data.dtype.name, data.shape):
                    collector.put(name, data[()])
    except InputError:
        raise
    except Exception as error:  # h5py raises many kinds of exceptions for damaged files
        raise InputError(
            f"{path} is not a Keras file, or it is damaged "
            f"({said(error)}): HDF5 of layers is needed;"
            " copy it again, or give .npz of original names"
        ) from None
    if not collector.arrays:
        raise InputError(
            f"{path} is an HDF5 file without layers; give .h5 or .weights.h5 as Keras saves "
            "them, or .npz of original names"
        )
    return collector.arrays


def _refuse_endless_heaps(path: Path, source: Path | BinaryIO) -> None:
    """Refuse a file whose global heap has an object without length, or one that reaches beyond it.

    The HDF5 library reads such an object again and again, without end. Lengths have 8 bytes, as
    h5py writes them (HDF5 file format, section III.E).
    """
    if isinstance(source, Path):
        if not source.stat().st_size:
            return
        with source.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    else:
        content = source.read()
        source.seek(0)
    heap = content.find(_HEAP)
    while heap >= 0:
        at, end = heap + 16, heap + int.from_bytes(content[heap + 8 : heap + 16], "little")
        while at + 16 <= min(end, len(content)):
            index = int.from_bytes(content[at : at + 2], "little")
            size = int.from_bytes(content[at + 8 : at + 16], "little")
            length = 16 + (size + 7) // 8 * 8 if index else size
            if not 16 <= length <= end - at:
                raise InputError(
                    f"{path} is damaged: an object in an HDF5 heap has the length {length}; copy "
                    "it again"
                )
            at += length
        heap = content.find(_HEAP, heap + 1)


def _refuse_other_files(path: Path, file, h5py) -> None:
    """Refuse a file that refers to another file, so that Keras can read it safely as well."""

    def linked(name: str, link) -> str | None:
        return name if isinstance(link, h5py.ExternalLink) else None

    def stored(name: str, item) -> str | None:
        return (
            name if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual) else None
        )

    name = file.visititems_links(linked) or file.visititems(stored)
    if name:
        raise InputError(
            f"{path}: {name} is stored in another file, which was not opened; give a file that "
            "holds its arrays"
        )


def numbered(path: Path) -> bool:
    """True if a file that `read` has read is in Keras 3's format, whatever its suffix."""
    import h5py

    with h5py.File(_opened(path, LIMIT), "r") as file:
        return "layers" in file


def _arrays(group, h5py) -> list:
    """The datasets of a group with their paths.

    Only hard links are followed, and each object is met once.
    """
    datasets = []
    group.visititems(
        lambda name, item: datasets.append((name, item)) if isinstance(item, h5py.Dataset) else None
    )
    return [(name, item) for name, item in datasets if not _TRAINING.fullmatch(name)]


def _named(top, h5py) -> list:
    """Arrays in `.h5` of Keras 1 to 3: <layer>/.../<part>, where the part has prefixes and
    suffixes.
    """
    named = []
    for name, data in _arrays(top, h5py):
        layer, *_, last = name.split("/") if "/" in name else ("", name)
        match = _PART.fullmatch(last.removeprefix("depthwise_"))
        named.append((f"{layer}/{match.lastgroup if match else last}", data))
    return named


def _numbered(path: Path, top, h5py) -> list:
    """Arrays in `.weights.h5` of Keras 3: <class>_<n>/vars/<number>.

    An attribute of vars names the layer.
    """
    groups: dict[str, list] = {}
    for name, data in _arrays(top, h5py):
        groups.setdefault(name.rpartition("/")[0], []).append((int(name.rpartition("/")[2]), data))
    named = []
    for place, pairs in groups.items():
        layer = top[place].attrs.get("name")
        if not isinstance(layer, str):
            raise InputError(
                f"{path} does not say which layer {place!r} is, as early releases of Keras 3 did "
                "not; save it again with a later one, or as .h5"
            )
        arrays = [data for _, data in sorted(pairs, key=lambda pair: pair[0])]
        normalises = len(arrays) >= 3 and all(data.ndim == 1 for data in arrays)
        parts = (
            ("gamma", "beta", "mean", "variance")[-len(arrays) :]
            if normalises
            else ("kernel", "bias", *map(str, range(len(arrays))))
        )
        named += [(f"{layer}/{part}", data) for part, data in zip(parts, arrays, strict=False)]
    return named


# --- names -------------------------------------------------------------------


def translate(arrays: dict[str, np.ndarray], network) -> dict[str, np.ndarray]:
    """Give arrays of Keras their original names.

    Args:
        arrays: the arrays as `read` returns them.
        network: a `registry.Network` whose name is in `ROWS`.

    Raises:
        InputError: if arrays are missing or unexpected.
    """
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        layer, _, part = name.rpartition("/")
        layers.setdefault(layer, {})[part] = array
    return originals(*ROWS[network.spec.name](layers, network), network=network)


def last_layer(network) -> str:
    """Keras's name of the layer that makes the logits."""
    return next(
        row.layer for row in ROWS[network.spec.name]({}, network)[1] if row.kind == "logits"
    )


def _vgg(layers: Layers, network) -> tuple[Layers, list[Row]]:
    net = network.spec.name
    rows = [
        Row(f"block{stage}_conv{number}", f"{net}/conv{stage}/conv{stage}_{number}")
        for stage, (repeats, _) in enumerate(network.spec.config.stages, start=1)
        for number in range(1, repeats + 1)
    ]
    rows += [
        Row("fc1", f"{net}/fc6"),
        Row("fc2", f"{net}/fc7"),
        Row("predictions", f"{net}/fc8", "logits"),
    ]
    changed = {name: dict(parts) for name, parts in layers.items()}
    first = changed.get("block1_conv1", {})
    if "kernel" in first and first["kernel"].ndim == 4:
        first["kernel"] = first["kernel"][:, :, ::-1]  # Keras's VGG takes BGR
    for name in ("fc1", "fc2", "predictions"):
        kernel = changed.get(name, {}).get("kernel")
        if kernel is not None and kernel.ndim == 2:
            channels = network.spec.config.stages[-1][1] if name == "fc1" else kernel.shape[0]
            side = round((kernel.shape[0] / channels) ** 0.5)
            if side * side * channels == kernel.shape[0]:
                # Keras flattens images in this order.
                changed[name]["kernel"] = kernel.reshape(side, side, channels, -1)
    return changed, rows


def _mobilenet(layers: Layers, network) -> tuple[Layers, list[Row]]:
    net = "MobilenetV1"
    rows = [Row("conv1", f"{net}/Conv2d_0"), Row("conv1_bn", f"{net}/Conv2d_0/BatchNorm", "norm")]
    for number in range(1, 14):
        for short, long, kind in (
            ("dw", "depthwise", "depthwise"),
            ("pw", "pointwise", "convolution"),
        ):
            scope = f"{net}/Conv2d_{number}_{long}"
            rows += [
                Row(f"conv_{short}_{number}", scope, kind),
                Row(f"conv_{short}_{number}_bn", f"{scope}/BatchNorm", "norm"),
            ]
    return layers, [*rows, Row("conv_preds", f"{net}/Logits/Conv2d_1c_1x1", "logits")]


def _inception_v3(layers: Layers, network) -> tuple[Layers, list[Row]]:
    logits = Row("predictions", "InceptionV3/Logits/Conv2d_1c_1x1", "logits")
    changed = dict(layers)
    kernel = layers.get("predictions", {}).get("kernel")
    if kernel is not None and kernel.ndim == 2:
        changed["predictions"] = {**layers["predictions"], "kernel": kernel[None, None]}
    return changed, [*_in_order(layers, "InceptionV3", slim_layers.inception_v3()), logits]


def _inception_resnet_v2(layers: Layers, network) -> tuple[Layers, list[Row]]:
    net = "InceptionResnetV2"
    last = "Conv2d_7b_1x1"
    rows = _in_order(
        layers, net, [scope for scope in slim_layers.inception_resnet_v2() if scope != last]
    )
    rows += [
        Row("conv_7b", f"{net}/{last}", norm="conv_7b_bn"),
        Row("predictions", f"{net}/Logits/Logits", "logits"),
    ]
    for scope in slim_layers.residual_blocks():
        layer = "block8_10" if scope == "Block8" else scope.split("/")[1]
        rows.append(Row(f"{layer}_conv", f"{net}/{scope}/Conv2d_1x1"))
    return layers, rows


def _in_order(layers: Layers, net: str, scopes: list[str]) -> list[Row]:
    """The rows for layers that have numbers in place of names. Numbers may start anywhere."""
    pairs = []
    for kind in ("conv2d", "batch_normalization"):
        numbered_names = [
            (int(match[1] or 0), name)
            for name in layers
            if (match := re.fullmatch(rf"{kind}(?:_(\d+))?", name))
        ]
        names = [name for _, name in sorted(numbered_names)]
        # If some are missing, invented names let the error say how many.
        pairs.append(
            names[: len(scopes)]
            + [f"{kind} number {number + 1}" for number in range(len(names), len(scopes))]
        )
    return [
        Row(conv, f"{net}/{scope}", norm=norm)
        for scope, conv, norm in zip(scopes, *pairs, strict=True)
    ]


ROWS = {
    "vgg_16": _vgg,
    "vgg_19": _vgg,
    "inception_v3": _inception_v3,
    "inception_resnet_v2": _inception_resnet_v2,
    "mobilenet_v1_025": _mobilenet,
    "mobilenet_v1_050": _mobilenet,
    "mobilenet_v1_100": _mobilenet,
}
