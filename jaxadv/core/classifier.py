"""A classifier: pixels in [0, 1] to logits over the K real classes, from the zoo or from any pure function."""

import contextlib
import copy
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxadv.core import contract, metrics, oracle
from jaxadv.core.programs import Program
from jaxadv.support import checks
from model_ports.errors import InputError

PROGRAMS = ("logits", "ask")
"""Of an oracle."""
Device: TypeAlias = Any
"""A `jax.Device`; jaxlib has no types."""


class Classifier:
    """A pure function ``apply(params, images) -> raw logits`` with what an evaluation has to know about it.

    Args:
        apply: images (N, S, S, 3) float32 RGB in [0, 1] -> (N, label_offset + K) float32; its own preprocessing inside.
            Logits, finite, those of an image whatever else is in the batch (see `jaxadv.core.contract`); log-probabilities will do.
        params: any pytree of arrays.
        input_size: S, pixels.
        num_classes: K, real classes.
        name: what tables call it.
        label_offset: background columns in front of the real classes, which are dropped; 1 for TF-Slim networks. The study lets
            least-likely and second-likely targets be the background class; here targets are real classes.
        facts: anything to be kept with results (accuracy, fingerprint of the weights).
        outputs: columns that ``apply`` is known to give; None to have it traced, which takes long for a large network.
        program: a name that ``apply`` shares with no other function of this package, under which `compile` keeps it (see
            `jaxadv.core.programs`); None for any function that this package's code does not fix.

    Raises:
        InputError: for numbers out of range, a function that cannot be traced, or another output than one float32 array of that shape.
    """

    def __init__(
        self,
        apply: Callable[[Any, jax.Array], jax.Array],
        params: Any,
        *,
        input_size: int,
        num_classes: int,
        name: str,
        label_offset: int = 0,
        facts: dict[str, Any] | None = None,
        outputs: int | None = None,
        program: str | None = None,
    ):
        checks.count("input_size", input_size)
        checks.count("num_classes", num_classes, low=2)
        checks.count("label_offset", label_offset, low=0)
        self.name = name
        self.params = params
        self.facts = facts or {}
        self._program = program
        self.input_size = input_size
        self.num_classes = num_classes
        self.label_offset = label_offset
        self._copies: dict[Device, Classifier] = {}
        self._lock = threading.Lock()
        self.oracle = oracle.Oracle(lambda params, images: apply(params, images)[:, label_offset:])
        self._raw = oracle.Oracle(apply)
        self.contract = contract.Record(is_exempt=program is not None)
        shape = (1, outputs)
        if outputs is None:
            shape = contract.check_trace(apply, params, input_size=input_size, name=name)
        if shape != (1, label_offset + num_classes):
            raise InputError(
                f"{name} gives an array of shape {shape} for one image; (1, {label_offset + num_classes}) is needed: "
                f"num_classes={num_classes} real classes behind label_offset={label_offset} background columns"
            )

    def __repr__(self) -> str:
        return f"Classifier({self.name!r}, input_size={self.input_size}, num_classes={self.num_classes})"

    @property
    def devices(self) -> list[Device]:
        """Where it may run: all devices of this process."""
        return jax.local_devices()

    def on(self, device: Device) -> "Classifier":
        """The same with its weights on ``device``, copied once; itself where there is only one, and at rest."""
        if len(self.devices) == 1 or self.is_at_rest:
            return self
        with self._lock:
            if device not in self._copies:
                there = copy.copy(self)
                there.params = jax.device_put(self.params, device)
                self._copies[device] = there
            return self._copies[device]

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.params))

    @property
    def is_at_rest(self) -> bool:
        """Whether its weights lie in the host's memory, from where every call brings them to the device, for as long as it lasts."""
        return any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(self.params))

    def at_rest(self) -> "Classifier":
        """The same at rest, for devices that cannot hold all networks at once."""
        return self._with(params=jax.device_get(self.params))

    def awake(self) -> "Classifier":
        """The same with its weights on the device, for as long as whoever asks keeps it; itself where they are."""
        return self._with(params=jax.device_put(self.params)) if self.is_at_rest else self

    def _with(self, **changes: Any) -> "Classifier":
        other = copy.copy(self)
        vars(other).update(changes, _copies={})
        return other

    def with_gradient_precision(self, precision: str) -> "Classifier":
        """The same with a gradient program of one of `oracle.PRECISIONS`; logits alone stay as they are. Raises InputError."""
        checks.choice("precision", precision, oracle.PRECISIONS)
        if precision == self.oracle.gradient_precision:
            return self
        other = self._with(oracle=oracle.Oracle(self.oracle.apply, precision))
        if precision == "bfloat16":
            try:
                other.oracle.ask.eval_shape(self.params, *self.grey(1))
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{self.name} cannot be computed in bfloat16 ({str(error)[:200]}); give another precision"
                ) from error
        return other

    def check(self, images: ArrayLike) -> np.ndarray:
        """``images`` as float32 (N, S, S, 3) in [0, 1]. Raises InputError."""
        return checks.images(images, size=self.input_size)

    def logits(self, images: ArrayLike) -> jax.Array:
        """images (N, S, S, 3) float32 in [0, 1] -> (N, K) float32. Raises InputError."""
        return self.oracle.logits(self.params, self.check(images))

    def raw_logits(self, images: ArrayLike) -> jax.Array:
        """What the network itself puts out, (N, label_offset + K), background included. Raises InputError."""
        return self._raw.logits(self.params, self.check(images))

    def logits_and_gradient(self, images: ArrayLike, weights: ArrayLike) -> oracle.Answer:
        """Logits (N, K), and the gradient (N, S, S, 3) of ``sum_k weights[k] * logit_k`` with respect to each image.

        weights: (N, K). Raises InputError.
        """
        checked = self.check(images)
        rows = np.asarray(weights, np.float32)
        if rows.shape != (len(checked), self.num_classes):
            raise InputError(
                f"weights have shape {rows.shape}; ({len(checked)}, {self.num_classes}) is needed: a row of classes for each image"
            )
        return self.oracle.ask(self.params, checked, jax.vmap(oracle.linear)(jnp.asarray(rows)))

    def predict(self, images: ArrayLike) -> np.ndarray:
        """The class with the largest logit, (N,) int32: the lowest index among equals, -1 if a logit is NaN or infinite.

        Raises InputError.
        """
        return metrics.predicted(np.asarray(self.logits(images)))

    def compile(self, batch: int, programs: Sequence[str] = PROGRAMS) -> None:
        """Compile programs of the oracle for ``batch`` images on every device, by asking them about grey ones.

        Waits for the answers, so that memory that runs out is told here. Safe in another thread. For arrays that are committed to a
        device, as those of `batches` and of `jaxadv.core.engine` are: for others JAX would compile it again.
        """
        for name in programs:
            program, question = self.kept(name, batch)
            for device in self.devices:
                with on_device(device):
                    jax.block_until_ready(
                        program(self.on(device).params, *jax.device_put(question, device))
                    )

    def kept(self, name: str, batch: int) -> tuple[Program[Any], tuple[Any, ...]]:
        """A program of the oracle, traced for ``batch`` images once on a machine if its code is this package's; and what to ask it."""
        program = getattr(self.oracle, name)
        question = self.grey(batch)[: 1 if name == "logits" else 2]
        if self._program:
            program.keep(
                f"{name} of {self._program} in {self.oracle.gradient_precision}",
                self.params,
                *question,
            )
        return program, question

    def grey(self, batch: int) -> tuple[np.ndarray, oracle.Objective]:
        """A question about ``batch`` grey images, to compile and to measure with."""
        images = np.full((batch, self.input_size, self.input_size, 3), 0.5, np.float32)
        return images, jax.tree.map(
            np.asarray, jax.vmap(oracle.linear)(jnp.zeros((batch, self.num_classes), jnp.float32))
        )

    def logits_in_batches(self, images: np.ndarray, batch: int) -> np.ndarray:
        """Logits (N, K) of any number of checked images through one batch shape, a device for each batch in turn.

        The last batch is filled up with its first image.
        """
        rows = list(self.awake().logits_of_batches(images, batch))
        return np.concatenate([np.zeros((0, self.num_classes), np.float32), *rows])

    def logits_of_batches(self, images: np.ndarray, batch: int) -> Iterator[jax.Array]:
        """The same, an array for each batch, without waiting for the devices; of one that is not at rest."""
        for device, filled, count in self.batches(images, batch):
            with on_device(device):
                logits = self.oracle.logits(self.on(device).params, filled)
                part = logits if count == batch else logits[:count]
            yield part

    def batches(self, images: np.ndarray, batch: int) -> Iterator[tuple[Device, jax.Array, int]]:
        """(device, ``batch`` images on it, how many of them are asked for) for any number of images, a device for each batch in turn."""
        for start, device in zip(range(0, len(images), batch), itertools.cycle(self.devices)):  # noqa: B905
            part = images[start : start + batch]
            filled = (
                part
                if len(part) == batch
                else np.concatenate([part, np.repeat(part[:1], batch - len(part), axis=0)])
            )
            yield device, jax.device_put(filled, device), len(part)


def on_device(device: Device) -> contextlib.AbstractContextManager[Any]:
    """Run what follows there. Where there is only one it is nothing: a context of its own would trace and compile everything again."""
    return contextlib.nullcontext() if len(jax.local_devices()) == 1 else jax.default_device(device)


def load_classifier(
    name: str,
    *,
    zoo: str = "digits",
    weights: str | Path | None = None,
    input_size: int | None = None,
) -> Classifier:
    """A network of the study with its weights.

    Args:
        name: of the network, such as "vgg_16".
        zoo: "digits", the embedded trained small networks, or "imagenet", full size.
        weights: for "imagenet", a folder that `convert` wrote, or an .npz of arrays under their original names.
        input_size: pixels, where the network can run at another size than its own.

    Raises:
        InputError: for an unknown name, or a missing, truncated or foreign checkpoint.
    """
    from model_ports import weights as stored
    from model_ports.registry import network

    net = network(name, zoo=zoo, input_size=input_size)
    params, facts = stored.load(net, weights)
    return Classifier(
        net.apply,
        jax.device_put(params),
        input_size=net.input_size,
        num_classes=net.num_classes,
        name=name,
        label_offset=net.label_offset,
        facts=facts,
        outputs=net.num_outputs,
        program=f"{zoo}/{name}/{net.input_size}",
    )
