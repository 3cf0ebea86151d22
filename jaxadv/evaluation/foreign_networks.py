"""Networks of other libraries by name, such as timm:resnet50 or torch:FILE.py:FUNCTION, as entries
of a run. `jaxadv.foreign.forms` lists the forms.
"""

import inspect
from collections.abc import Iterable
from typing import Any

from jaxadv.core.classifier import Classifier
from jaxadv.evaluation import own_models
from jaxadv.foreign import libraries
from jaxadv.foreign.request import Request
from model_ports.errors import InputError

SETTINGS = ("input_size", "mean", "std", "num_classes", "label_offset")
"""What a function of torch:FILE.py:FUNCTION may give beside its module."""


def load(
    full: str,
    *,
    taken: Iterable[str],
    pretrained: bool = True,
    input_size: int | None = None,
    num_classes: int | None = None,
) -> Classifier:
    """The network as a classifier, whose name is fit for rows, with its full name among its facts.

    Args:
        full: one of `forms.FORMS`.
        taken: names of other networks.
        pretrained: False for fresh weights.
        input_size: pixels; None: the network's own.
        num_classes: of fresh weights; None: the network's own.

    Raises:
        InputError: see `libraries.load`; or an error in the user's own file, with its line.
    """
    name = libraries.row_name(full, taken)
    request = Request(full, name, pretrained, input_size, num_classes)
    return _of_a_file(request) if full.startswith("torch:") else libraries.load(request)


def _of_a_file(request: Request) -> Classifier:
    """The module that a function of a file returns; or a pair, with a dictionary of `SETTINGS`."""
    from jaxadv.foreign.pytorch import from_torch

    path, function = own_models.function_of(request.what, "--models=torch:")
    line = inspect.unwrap(function).__code__.co_firstlineno
    made = own_models.run(path, function, line)
    module, settings = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    known: dict[str, Any] = dict(settings) if isinstance(settings, dict) else {"?": settings}
    odd = sorted(map(str, set(known) - set(SETTINGS)))
    if odd:
        raise InputError(
            f"{path}:{line}: {function.__name__} gives {odd[0]!r} beside its module; "
            f"a dictionary with some of {', '.join(SETTINGS)} is allowed"
        )
    if request.input_size:
        known["input_size"] = request.input_size
    try:
        return from_torch(module, name=request.name, facts={"full_name": request.full}, **known)
    except InputError as error:
        raise InputError(f"{path}:{line}: {error}") from error
