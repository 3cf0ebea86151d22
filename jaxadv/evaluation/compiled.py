"""The networks of a run. They are loaded when first needed, and compiled while others run."""

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import jax

from jaxadv.core import contract, memory
from jaxadv.core.classifier import PROGRAMS, Classifier
from jaxadv.evaluation.networks import Entry
from model_ports.errors import InputError

LOGITS = ("logits",)
SWITCH = 0.5e-3
"""The interval, in seconds, at which Python switches between threads.

One thread traces networks while others drive attacks, whose steps are hardly longer than this. With
Python's default of 5 ms, alexnet and vgg_16 of the embedded job take 23 s. With this value they
take 13 s.
"""


class Loaded:
    """Classifiers by name, loaded at first use. They stay in the host's memory if the device's
    memory is short.

    Args:
        entries: the networks by name.
        precision: of their gradients, one of `jaxadv.core.oracle.PRECISIONS`.
        fast_layers: whether networks that are not of the zoo keep `jaxadv.core.fast_layers`.
    """

    def __init__(self, entries: Mapping[str, Entry], precision: str, *, fast_layers: bool = True):
        self._entries = entries
        self._precision = precision
        self._fast_layers = fast_layers
        self._classifiers: dict[str, Classifier] = {}

    def __getitem__(self, name: str) -> Classifier:
        if name not in self._classifiers:
            classifier = self._entries[name].load().with_gradient_precision(self._precision)
            if not self._fast_layers:
                classifier = classifier.with_stock_layers()
            self._classifiers[name] = (
                classifier.at_rest() if memory.is_short(classifier) else classifier.awake()
            )
        return self._classifiers[name]


class Compiled:
    """Classifiers by name, each with compiled programs. A thread compiles while other threads run
    networks.

    Use it as a context manager. Inside it, Python switches threads more often (see `SWITCH`).

    Args:
        loaded: the networks.
        lanes: images of one call.
    """

    def __init__(self, loaded: Loaded, lanes: int):
        self._loaded = loaded
        self._lanes = lanes
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._compiled: dict[tuple[str, str], Future] = {}

    def __enter__(self) -> "Compiled":
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        return self

    def __exit__(self, *exception) -> None:
        sys.setswitchinterval(self._switch)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ahead(self, names: Iterable[str], programs: Sequence[str]) -> None:
        """Compile these programs next, in this order, without waiting.

        Args:
            names: of the networks.
            programs: names out of `jaxadv.core.classifier.PROGRAMS`.
        """
        for key in itertools.product(names, programs):
            if key not in self._compiled:
                self._compiled[key] = self._pool.submit(self._compile, *key)

    def __getitem__(self, name: str) -> Classifier:
        return self._wait(name, PROGRAMS)

    def logits(self, name: str) -> Classifier:
        """The classifier, as soon as its logits program is compiled.

        Args:
            name: the name of the network.

        Returns:
            The classifier.
        """
        return self._wait(name, LOGITS)

    def depth(self, name: str) -> int:
        """The network's number of parameter arrays. It orders the networks of a zoo by their run
        time.

        Args:
            name: the name of the network.

        Returns:
            The number of arrays.
        """
        return len(jax.tree.leaves(self._loaded[name].params))

    def _wait(self, name: str, programs: Sequence[str]) -> Classifier:
        self.ahead([name], programs)
        return [self._compiled[name, program].result() for program in programs][0]

    def _compile(self, name: str, program: str) -> Classifier:
        classifier = self._loaded[name]
        with _memory_suffices(name, self._lanes):
            classifier.compile(self._lanes, [program])
        return classifier


def check_contracts(loaded: Loaded, names: Iterable[str], lanes: int) -> None:
    """Check the contract of networks (see `jaxadv.core.contract`), with the program that the run
    uses.

    Args:
        loaded: the networks.
        names: the names to check. Networks of the zoo are known to be good.
        lanes: images of one call.

    Raises:
        InputError: if a network breaks its contract, or does not fit the device's memory.
    """
    for name in names:
        with _memory_suffices(name, lanes):
            contract.check(loaded[name], lanes)


@contextmanager
def _memory_suffices(name: str, lanes: int) -> Iterator[None]:
    """Raises InputError if the device's memory runs out inside the context."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not memory.ran_out(error):
            raise
        what = f"{name} does not fit the device's memory with --lanes={lanes}"
        raise InputError(
            f"{what}; give fewer lanes and, since a run keeps its number of lanes, --overwrite or "
            "another --out"
        ) from None
