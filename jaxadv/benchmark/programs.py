"""Builds networks with random weights, and compiles their gradient programs side by side."""

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
"""The number of programs that are traced and compiled at the same time."""
NONDETERMINISTIC = {"xla_gpu_exclude_nondeterministic_ops": False}


class Ask(NamedTuple):
    """Identifies the gradient program of a network of the zoo."""

    network: str
    precision: str
    lanes: int
    deterministic: bool = True


class Count(NamedTuple):
    """Identifies the number of GFLOP of one image's gradient."""

    network: str


class Whole(NamedTuple):
    """Identifies programs of a classifier, as attacks call them."""

    name: str
    classifier: Classifier
    lanes: int
    programs: tuple[str, ...]

    def __hash__(self) -> int:
        return hash((self.name, self.lanes))


class Compiled(NamedTuple):
    """A compiled program, an example of its arguments, and its costs."""

    call: Any  # (params, images, objectives) -> Answer
    question: tuple
    megabytes: float  # memory on the device: arguments, results and intermediate arrays
    seconds: float  # to trace and compile, while others compile too


class Programs:
    """Builds what `Ask`, `Count` or `Whole` identify. Each is built once and kept.

    Args:
        zoo: "imagenet", or "digits" for small networks.
        extra: functions that build something else, by its identifier.
    """

    def __init__(self, zoo: str, extra: dict | None = None):
        self._zoo = zoo
        self._lock = threading.Lock()
        self._extra = {} if extra is None else extra
        self._networks: dict[str, Future] = {}
        self._built: dict[Hashable, Future] = {}

    def prepare(self, names: Sequence[Hashable]) -> None:
        """Build everything that is missing, side by side. `get` raises the errors."""
        new = [name for name in names if name not in self._built]
        with ThreadPoolExecutor(WORKERS) as pool:
            self._built |= {name: pool.submit(self._build, name) for name in new}

    def get(self, name: Hashable):
        """What was built for an identifier. An exception that building it raised is raised here."""
        self.prepare([name])
        return self._built[name].result()

    def classifier(self, name: str) -> Classifier:
        """A network of the zoo with random weights, which are on the device."""
        with self._lock:
            is_first = name not in self._networks
            future = self._networks.setdefault(name, Future())
        if is_first:
            try:
                future.set_result(random_classifier(name, self._zoo))
            except Exception as error:  # noqa: BLE001 - every thread that waits gets it
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
        took = time.perf_counter() - began
        memory = call.memory_analysis()
        kinds = ("temp", "argument", "output")
        size = sum(getattr(memory, f"{kind}_size_in_bytes", 0) for kind in kinds)
        return Compiled(call, question, size / 2**20, took)


def random_classifier(name: str, zoo: str) -> Classifier:
    """A network with random weights of the usual spread.

    Speed does not depend on the values, so they are cut from one pool of random numbers. That is
    fast.

    Args:
        name: the network.
        zoo: "digits" or "imagenet".
    """
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
    """Example arguments of the gradient program.

    Args:
        classifier: the network.
        lanes: the number of images.

    Returns:
        Parameters, random images (lanes, S, S, 3) and objectives, all on the device. Each objective
        is the logit of a random class.
    """
    generator = np.random.default_rng(SEED)
    size = classifier.input_size
    images = generator.uniform(0.1, 0.9, (lanes, size, size, 3)).astype(np.float32)
    classes = generator.integers(classifier.num_classes, size=lanes)
    one_hot = np.eye(classifier.num_classes, dtype=np.float32)[classes]
    objectives = jax.vmap(oracle.linear)(jnp.asarray(one_hot))
    device = jax.local_devices()[0]
    return classifier.params, *jax.device_put((images, objectives), device)
