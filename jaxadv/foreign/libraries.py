"""Networks by the names that their libraries give them: timm, torchvision, keras.applications,
RobustBench, and files of Keras and ONNX.

The libraries fetch weights themselves, into their own caches. What they say of a network's pictures
and accuracy is kept with it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxadv.core.classifier import Classifier
from jaxadv.foreign import torch_libraries
from jaxadv.foreign.forms import FORMS, LIBRARIES
from jaxadv.foreign.network import plain_name
from jaxadv.foreign.request import Request
from jaxadv.support import places
from model_ports.errors import InputError


def row_name(full: str, taken: Iterable[str] = ()) -> str:
    """The name of a network in rows and files: letters, digits, "_" and ".", the library in front.

    Args:
        full: one of `FORMS`.
        taken: names of other networks. A name among them gets some digits that follow from
            ``full``.

    >>> row_name("timm:resnet50.a1_in1k"), row_name("onnx:folder/my-net.onnx")
    ('timm.resnet50.a1_in1k', 'onnx.my_net')
    """
    library, _, what = full.partition(":")
    if library == "torch":
        what = what.rpartition(":")[2]
    elif library == "onnx" or _is_keras_file(what):
        what = Path(what).stem
    name = f"{library}.{plain_name(what)}"
    if name in set(taken):
        name = f"{name}.{hashlib.sha256(full.encode()).hexdigest()[:6]}"
    return name


def load(request: Request) -> Classifier:
    """The network as a classifier, proven against the original.

    Its ``facts`` have "full_name". Where the library tells them, they also have "pictures", the
    crop and interpolation that it was made for, and "published", its clean accuracy in percent.

    Raises:
        InputError: the library is not installed, does not know the name, or cannot fetch the
        weights; or the network is refused.
    """
    library = request.full.partition(":")[0]
    if not request.what:
        raise InputError(
            f"{request.full!r} names no network; give {FORMS[LIBRARIES.index(library)]}"
        )
    return _LOADERS[library](request)


def _torch(request: Request) -> Classifier:
    raise InputError(f"{request.full} is read by the evaluation; call jaxadv.from_torch instead")


def _is_keras_file(what: str) -> bool:
    return what.endswith((".keras", ".h5"))


def _keras(request: Request) -> Classifier:
    from jaxadv.foreign import keras_applications, keras_models

    if _is_keras_file(request.what):
        asked = _beside(places.place("--models", request.what), request)
        asked.pop("label_offset", None)
        return keras_models.from_keras(
            places.place("--models", request.what),
            name=request.name,
            facts={"full_name": request.full},
            **asked,
        )
    return keras_applications.application(request)


def _onnx(request: Request) -> Classifier:
    from jaxadv.foreign.onnx import from_onnx

    path = places.place("--models", request.what)
    return from_onnx(
        path, name=request.name, facts={"full_name": request.full}, **_beside(path, request)
    )


_BESIDE = ("input_size", "mean", "std", "label_offset")


def _beside(path: Path, request: Request) -> dict[str, Any]:
    """What a file of a network does not tell, from a .json of its name beside it; timm's
    config.json has the same keys. Raises InputError."""
    beside, known = path.with_suffix(".json"), {}
    if beside.is_file():
        try:
            content = json.loads(beside.read_text())
            content = content.get("pretrained_cfg", content)
            known = {key: content[key] for key in _BESIDE if key in content}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise InputError(
                f"{str(beside)!r} cannot be read ({error}); give JSON with some of "
                f"{', '.join(_BESIDE)}"
            ) from error
    if isinstance(known.get("input_size"), list):
        known["input_size"] = known["input_size"][-1]
    return known | ({"input_size": request.input_size} if request.input_size else {})


_LOADERS: dict[str, Callable[[Request], Classifier]] = {
    "timm": torch_libraries.load,
    "torchvision": torch_libraries.load,
    "robustbench": torch_libraries.load,
    "torch": _torch,
    "keras": _keras,
    "onnx": _onnx,
}
