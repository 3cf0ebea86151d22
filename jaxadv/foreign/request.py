"""A network that is asked for by the name that a library gives it, and what goes wrong with that."""

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jaxadv.foreign.silence import reason, silent
from model_ports.errors import InputError


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
