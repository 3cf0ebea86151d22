"""The networks of a run, loaded when they are first needed, and compiled while others are at work."""

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
"""Seconds after which a thread gives way to another. One thread traces networks while others drive
attacks, whose steps are not much longer: with Python's 5 ms alexnet and vgg_16 of the embedded job
take 23 s beside it, with these 13."""


class Loaded:
    """Classifiers by name, with gradients of one precision; at rest in the host's memory if the device's is short."""

    def __init__(self, entries: Mapping[str, Entry], precision: str):
        self._entries = entries
        self._precision = precision
        self._classifiers: dict[str, Classifier] = {}

    def __getitem__(self, name: str) -> Classifier:
        if name not in self._classifiers:
            classifier = self._entries[name].load().with_gradient_precision(self._precision)
            self._classifiers[name] = (
                classifier.at_rest() if memory.is_short(classifier) else classifier.awake()
            )
        return self._classifiers[name]


class Compiled:
    """Classifiers by name, each once its programs are compiled; a thread compiles while others are at work.

    A context: the interpreter switches threads faster inside it.
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
        """Compile these next, in order."""
        for key in itertools.product(names, programs):
            if key not in self._compiled:
                self._compiled[key] = self._pool.submit(self._compile, *key)

    def __getitem__(self, name: str) -> Classifier:
        return self._wait(name, PROGRAMS)

    def logits(self, name: str) -> Classifier:
        """One that is asked for logits alone."""
        return self._wait(name, LOGITS)

    def depth(self, name: str) -> int:
        """The number of its parameter arrays, which orders the networks of a zoo by their time."""
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
    """Check what networks must keep to (see `jaxadv.core.contract`), in the program that the run will ask.

    Args:
        loaded: the networks.
        names: which of them. Those of the zoo are known to be good.
        lanes: images of one call.

    Raises:
        InputError: for a network that does not, or that does not fit the device's memory.
    """
    for name in names:
        with _memory_suffices(name, lanes):
            contract.check(loaded[name], lanes)


@contextmanager
def _memory_suffices(name: str, lanes: int) -> Iterator[None]:
    """Raises InputError where the device's memory runs out inside it."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if not memory.ran_out(error):
            raise
        what = f"{name} does not fit the device's memory with --lanes={lanes}"
        raise InputError(
            f"{what}; give fewer, and as a run keeps its number --overwrite or another --out"
        ) from None
