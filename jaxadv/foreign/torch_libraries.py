"""PyTorch's libraries of networks: timm, torchvision and RobustBench."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxadv.core.classifier import Classifier
from jaxadv.foreign.request import Request, fetched, unknown_network
from model_ports.errors import InputError, unknown

Made = tuple[Any, dict[str, Any]]
"""A module in evaluation mode, and what `from_torch` has to know of it."""


def load(request: Request) -> Classifier:
    """The network as a classifier. Raises InputError: see `jaxadv.foreign.libraries.load`."""
    from jaxadv.foreign.pytorch import from_torch

    module, settings = make(request)
    return from_torch(module, name=request.name, **settings)


def make(request: Request) -> Made:
    """The network as its library makes it. Raises InputError: see `load`."""
    module, settings = _MAKERS[request.full.partition(":")[0]](request)
    return module.eval(), settings


def _timm(request: Request) -> Made:
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
    return module, {"input_size": request.input_size, "facts": facts}


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
    with _importing(full, "torchvision", "run: pip install 'jaxadv[torch]'"):
        import torchvision
    return torchvision


@contextmanager
def _importing(full: str, package: str, remedy: str) -> Iterator[None]:
    """Raises InputError where an import fails."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{full} needs {error.name or package}, which is not installed; {remedy}"
        ) from error
    except (RuntimeError, OSError) as error:
        raise InputError(f"{full}: {other_build(error) or error}") from error


def other_build(error: BaseException) -> str:
    """What to do where torchvision's compiled operators do not fit PyTorch; "" for other errors."""
    if "torchvision::" not in str(error):
        return ""
    return (
        "torchvision is of another build than PyTorch (operator torchvision::nms is missing); "
        "install both again from one index, both for the CPU or both for CUDA"
    )


def _torchvision(request: Request) -> Made:
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
    return module, {
        "input_size": request.input_size or size,
        "mean": asks.mean,
        "std": asks.std,
        "facts": facts,
    }


def _robustbench(request: Request) -> Made:
    """[DATASET/[THREAT/]]NAME: of cifar10 and Linf where it does not say."""
    remedy = "RobustBench's page says how to install it"
    with _importing(request.full, "robustbench", remedy):
        from robustbench.model_zoo.models import model_dicts
        from robustbench.utils import load_model
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
    return module, {
        "input_size": request.input_size or (224 if data.startswith("imagenet") else 32),
        "facts": {"full_name": request.full},
    }


def _text(value: Any) -> str:
    """Of an enumeration, as RobustBench's data sets and threats are, its value."""
    return str(getattr(value, "value", value))


_MAKERS: dict[str, Callable[[Request], Made]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "robustbench": _robustbench,
}
