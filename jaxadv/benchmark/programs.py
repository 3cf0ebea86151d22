"""Networks with random weights, and their gradient programs, compiled side by side."""

import threading
import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core import oracle
from jaxadv.core.classifier import Classifier
from jaxadv.evaluation.estimate import gigaflops
from model_ports import registry

SEED = 1215
WORKERS = 14
"""Programs that are traced and compiled at a time."""
NONDETERMINISTIC = {"xla_gpu_exclude_nondeterministic_ops": False}


class Ask(NamedTuple):
    """Names a gradient program of a network of the zoo."""

    network: str
    precision: str
    lanes: int
    deterministic: bool = True


class Count(NamedTuple):
    """Names the count of a network's arithmetic, GFLOP of one image's gradient."""

    network: str


class Whole(NamedTuple):
    """Names programs of a classifier as attacks call them."""

    name: str
    classifier: Classifier
    lanes: int
    programs: tuple[str, ...]

    def __hash__(self) -> int:
        return hash((self.name, self.lanes))


class Compiled(NamedTuple):
    """A program, what it is asked, and what it takes."""

    call: Any  # (params, images, objectives) -> Answer
    question: tuple
    megabytes: float  # of the device's memory: arguments, results and what lies between them
    seconds: float  # to trace and compile, beside others


class Programs:
    """Builds what is named by `Ask`, `Count` or `Whole`, each once, and keeps it.

    Args:
        zoo: "imagenet", or "digits" for small networks.
        extra: other names, each with what builds it.
    """

    def __init__(self, zoo: str, extra: dict | None = None):
        self._zoo, self._lock = zoo, threading.Lock()
        self._extra = {} if extra is None else extra
        self._networks: dict[str, Future] = {}
        self._built: dict[Hashable, Future] = {}

    def prepare(self, names: Sequence[Hashable]) -> None:
        """Build all that is not there, side by side. An error is raised by `get`, not here."""
        new = [name for name in names if name not in self._built]
        with ThreadPoolExecutor(WORKERS) as pool:
            self._built |= {name: pool.submit(self._build, name) for name in new}

    def get(self, name: Hashable):
        """What was built under that name. Raises whatever building it has raised."""
        self.prepare([name])
        return self._built[name].result()

    def classifier(self, name: str) -> Classifier:
        """A network of the zoo with random weights on the device."""
        with self._lock:
            mine = name not in self._networks
            future = self._networks.setdefault(name, Future())
        if mine:
            try:
                future.set_result(random_classifier(name, self._zoo))
            except Exception as error:  # noqa: BLE001 - for all who wait
                future.set_exception(error)
        return future.result()

    def _build(self, name: Hashable):
        if name in self._extra:
            return self._extra[name]()
        if isinstance(name, Count):
            return gigaflops(self.classifier(name.network))[0]
        if isinstance(name, Whole):
            return name.classifier.compile(name.lanes, name.programs)
        assert isinstance(name, Ask), name
        return self._compile(name)

    def _compile(self, name: Ask) -> Compiled:
        classifier = self.classifier(name.network).with_gradient_precision(name.precision)
        question = questions(classifier, name.lanes)
        options = None if name.deterministic else NONDETERMINISTIC
        began = time.perf_counter()
        call = classifier.oracle.ask.lower(*question).compile(compiler_options=options)
        took, memory = time.perf_counter() - began, call.memory_analysis()
        kinds = ("temp", "argument", "output")
        size = sum(getattr(memory, f"{kind}_size_in_bytes", 0) for kind in kinds)
        return Compiled(call, question, size / 2**20, took)


def random_classifier(name: str, zoo: str) -> Classifier:
    """A network with weights of the usual spread, drawn fast: speed does not depend on which."""
    network = registry.network(name, zoo=zoo)
    generator = np.random.default_rng(SEED)
    pool = generator.standard_normal(2**20, np.float32)

    def draw(path, leaf) -> np.ndarray:
        if leaf.ndim < 2:
            ones = path[-1].key in ("scale", "var")
            return np.full(leaf.shape, float(ones), np.float32)
        spread = np.float32(np.sqrt(2 / np.prod(leaf.shape[:-1])))
        start = int(generator.integers(len(pool)))
        return spread * np.resize(np.roll(pool, start), leaf.shape)

    return Classifier(
        network.apply,
        jax.device_put(jax.tree_util.tree_map_with_path(draw, network.abstract())),
        input_size=network.input_size,
        num_classes=network.num_classes,
        name=name,
        label_offset=network.label_offset,
        outputs=network.num_outputs,
    )


def questions(classifier: Classifier, lanes: int) -> tuple:
    """(params, images, objectives) on the device: random images, the logit of one class each."""
    generator = np.random.default_rng(SEED)
    size = classifier.input_size
    images = generator.uniform(0.1, 0.9, (lanes, size, size, 3)).astype(np.float32)
    classes = generator.integers(classifier.num_classes, size=lanes)
    one_hot = np.eye(classifier.num_classes, dtype=np.float32)[classes]
    objectives = jax.vmap(oracle.linear)(jnp.asarray(one_hot))
    device = jax.local_devices()[0]
    return classifier.params, *jax.device_put((images, objectives), device)
