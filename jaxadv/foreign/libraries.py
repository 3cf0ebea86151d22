"""Networks by the names that their libraries give them: timm, torchvision, keras.applications,
RobustBench, and files of Keras and ONNX.

The libraries fetch weights themselves, into their own caches. What they say of a network's pictures
and accuracy is kept with it.
"""

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxadv.core.classifier import Classifier
from jaxadv.foreign.forms import FORMS, LIBRARIES
from jaxadv.foreign.network import plain_name
from jaxadv.foreign.silence import reason, silent
from jaxadv.support import places
from model_ports.errors import InputError, unknown


class Request(NamedTuple):
    """A network that is asked for."""

    full: str  # "timm:resnet18.a1_in1k"
    name: str  # of its rows
    pretrained: bool = True
    input_size: int | None = None  # pixels; None: its own
    num_classes: int | None = None  # of fresh weights; None: its own

    @property
    def what(self) -> str:
        """What stands behind the library."""
        return self.full.partition(":")[2].strip()


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

    Its ``facts`` have "full_name", and where the library tells them "pictures" (the crop and the
    interpolation that it was made for) and "published" (its clean accuracy, in percent).

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


def unknown_network(full: str, known: Iterable[str], all_of_them: str) -> InputError:
    """One line for a name that a library does not know; libraries have too many names to list."""
    what = full.partition(":")[2]
    near = difflib.get_close_matches(what.lower(), [name.lower() for name in known], 3, 0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return InputError(f"unknown network {full!r}; {hint}{all_of_them} lists them all")


def fetched(request: Request, make: Callable[[], Any]) -> Any:
    """What a library makes. Raises InputError, in one line, for whatever it raises instead."""
    try:
        with silent():
            return make()
    except InputError:
        raise
    except Exception as error:  # of its own, of the hub, of the connection
        remedy = (
            "connect once, or copy the weights into its cache, or give --nopretrained for fresh "
            "ones"
            if request.pretrained
            else "give another name"
        )
        raise InputError(
            f"{request.full} cannot be made by its library ({reason(error)}); {remedy}"
        ) from error


# --- PyTorch's ---------------------------------------------------------------


def _timm(request: Request) -> Classifier:
    from jaxadv.foreign.pytorch import from_torch
    from model_ports.convert import frameworks

    timm = frameworks.timm()
    what = request.what
    if ":" not in what and not timm.is_model(what):
        raise unknown_network(request.full, timm.list_models(), "timm.list_models()")
    module = fetched(request, lambda: _fixed_seed(lambda: _timm_network(timm, request)))
    known = dict(module.pretrained_cfg or {})
    facts: dict[str, Any] = {"full_name": request.full}
    if request.pretrained:
        facts["weights"] = ".".join(filter(None, [known.get("architecture"), known.get("tag")]))
    facts["pictures"] = {
        "crop": known.get("crop_pct"),
        "interpolation": known.get("interpolation"),
        "crop_mode": known.get("crop_mode"),
    }
    return from_torch(module.eval(), input_size=request.input_size, name=request.name, facts=facts)


def _timm_network(timm: Any, request: Request) -> Any:
    more: dict[str, Any] = {}
    if not request.pretrained and request.num_classes:
        more["num_classes"] = request.num_classes
    if request.input_size:
        try:  # networks of tokens are made for one size, others take any
            return timm.create_model(
                request.what, pretrained=request.pretrained, img_size=request.input_size, **more
            )
        except TypeError:
            pass
    return timm.create_model(request.what, pretrained=request.pretrained, **more)


def _fixed_seed(make: Callable[[], Any]) -> Any:
    """Fresh weights are the same in every process."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def import_torchvision(full: str) -> Any:
    """torchvision. Raises InputError where it is missing, or of another build than PyTorch."""
    try:
        import torchvision
    except ImportError as error:
        raise InputError(
            f"{full} needs {error.name or 'torchvision'}, which is not installed; run: pip install "
            "'jaxadv[torch]'"
        ) from error
    except (RuntimeError, OSError) as error:
        raise InputError(f"{full}: {other_build(error) or error}") from error
    return torchvision


def other_build(error: BaseException) -> str:
    """What to do where torchvision's compiled operators do not fit PyTorch; "" for other errors."""
    if "torchvision::" not in str(error):
        return ""
    return (
        "torchvision is of another build than PyTorch (operator torchvision::nms is missing); "
        "install both again from one index, both for the CPU or both for CUDA"
    )


def _torchvision(request: Request) -> Classifier:
    from jaxadv.foreign.pytorch import from_torch

    torchvision = import_torchvision(request.full)
    models = torchvision.models
    what, _, tag = request.what.partition(".")
    if what not in (known := models.list_models(module=models)):
        raise unknown_network(request.full, known, "torchvision.models.list_models()")
    entries = models.get_model_weights(what)
    if tag and tag not in entries.__members__:
        raise unknown(f"weights of {what}", tag, entries.__members__)
    weights = entries[tag] if tag else entries.DEFAULT
    asks = weights.transforms()  # a preset; fetches nothing
    classes = {} if request.pretrained else {"num_classes": request.num_classes or 1000}
    module = fetched(
        request,
        lambda: _fixed_seed(
            lambda: models.get_model(
                what, weights=weights if request.pretrained else None, **classes
            )
        ),
    )
    size = asks.crop_size[0]
    facts: dict[str, Any] = {
        "full_name": request.full,
        "pictures": {
            "crop": round(size / asks.resize_size[0], 4),
            "interpolation": asks.interpolation.value,
        },
    }
    if request.pretrained:
        facts["weights"] = str(weights)
        measured = (weights.meta.get("_metrics") or {}).get("ImageNet-1K", {})
        if "acc@1" in measured:
            facts["published"] = {"top1_percent": measured["acc@1"], "source": "torchvision"}
    return from_torch(
        module.eval(),
        input_size=request.input_size or size,
        mean=asks.mean,
        std=asks.std,
        name=request.name,
        facts=facts,
    )


def _robustbench(request: Request) -> Classifier:
    """[DATASET/[THREAT/]]NAME: of cifar10 and Linf where it does not say."""
    from jaxadv.foreign.pytorch import from_torch

    try:
        from robustbench.model_zoo.models import model_dicts
        from robustbench.utils import load_model
    except ImportError as error:
        raise InputError(
            f"{request.full} needs {error.name or 'robustbench'}, which is not installed; "
            "RobustBench's page says how to install it"
        ) from error
    except (RuntimeError, OSError) as error:
        raise InputError(f"{request.full}: {other_build(error) or error}") from error
    *where, what = request.what.split("/")
    data, threat = [*where, *("cifar10", "Linf")[len(where) :]][:2]
    zoo = {_text(d): {_text(t): ms for t, ms in ts.items()} for d, ts in model_dicts.items()}
    if data not in zoo or threat not in zoo[data]:
        known = [f"{d}/{t}" for d, threats in zoo.items() for t in threats]
        raise unknown("zoo of RobustBench", f"{data}/{threat}", known)
    if what not in zoo[data][threat]:
        raise unknown_network(request.full, zoo[data][threat], "RobustBench's page")
    if not request.pretrained:
        raise InputError(f"{request.full} has no fresh weights; leave --nopretrained out")
    module = fetched(
        request, lambda: load_model(model_name=what, dataset=data, threat_model=threat)
    )
    return from_torch(
        module.eval(),
        input_size=request.input_size or (224 if data.startswith("imagenet") else 32),
        name=request.name,
        facts={"full_name": request.full},
    )


def _text(value: Any) -> str:
    """Of an enumeration, as RobustBench's data sets and threats are, its value."""
    return str(getattr(value, "value", value))


def _torch(request: Request) -> Classifier:
    raise InputError(f"{request.full} is read by the evaluation; call jaxadv.from_torch instead")


# --- others ------------------------------------------------------------------


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
    "timm": _timm,
    "torchvision": _torchvision,
    "robustbench": _robustbench,
    "torch": _torch,
    "keras": _keras,
    "onnx": _onnx,
}
