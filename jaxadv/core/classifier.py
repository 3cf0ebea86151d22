"""A classifier: a network of the zoo, or any pure function, from pixels in [0, 1] to logits over
the K real classes.
"""

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

from jaxadv.core import contract, fast_layers, metrics, oracle
from jaxadv.core.programs import Program
from jaxadv.support import checks
from model_ports.errors import InputError

PROGRAMS = ("logits", "ask")
"""The names of an oracle's programs."""
Device: TypeAlias = Any
"""A `jax.Device`. jaxlib gives no type for it."""


class Classifier:
    """A pure function ``apply(params, images) -> raw logits``, with the facts that an evaluation
    needs.

    Args:
        apply: a function from params and images (N, S, S, 3), float32 RGB in [0, 1], to logits
            (N, label_offset + K) float32. It includes the preprocessing. The logits are finite, and
            those of an image do not depend on the rest of the batch (see `jaxadv.core.contract`).
            Log-probabilities are valid logits.
        params: any pytree of arrays.
        input_size: S, pixels.
        num_classes: K, real classes, at least 2.
        name: the name in tables.
        label_offset: the number of background columns before the real classes; 1 for TF-Slim
            networks. They are dropped. In the study, least-likely and second-likely targets may be
            the background class. Here all targets are real classes.
        facts: anything to keep with the results, such as the accuracy or a fingerprint of the
            weights.
        outputs: the number of columns that ``apply`` gives, if it is known. None traces ``apply``
            to learn it. Tracing takes long for a large network.
        program: a name that no other function of this package has. `compile` keeps the traced
            program under it (see `jaxadv.core.programs`). None for a function whose code is not
            part of this package. On a CPU such a function gets fast layers (see
            `jaxadv.core.fast_layers`).

    Raises:
        InputError: if a number is out of range, if JAX cannot trace the function, or if its output
            is not one float32 array of this shape.
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
        self.stock = lambda params, images: apply(params, images)[:, label_offset:]
        """The function from params and images to the logits of the real classes, as it was given."""
        self.oracle = oracle.Oracle(
            fast_layers.rewritten(self.stock) if program is None else self.stock
        )
        self._raw = oracle.Oracle(apply)
        self.contract = contract.Record(is_exempt=program is not None)
        shape = (1, outputs)
        if outputs is None:
            shape = contract.check_trace(apply, params, input_size=input_size, name=name)
        if shape != (1, label_offset + num_classes):
            raise InputError(
                f"{name} gives an array of shape {shape} for one image; (1, "
                f"{label_offset + num_classes}) is needed: "
                f"num_classes={num_classes} real classes behind label_offset={label_offset} "
                "background columns"
            )

    def __repr__(self) -> str:
        return (
            f"Classifier({self.name!r}, input_size={self.input_size}, "
            f"num_classes={self.num_classes})"
        )

    @property
    def devices(self) -> list[Device]:
        """The devices on which it may run: all of this process."""
        return jax.local_devices()

    def on(self, device: Device) -> "Classifier":
        """The same classifier with its weights on ``device``.

        The weights are copied once. With a single device, or at rest, the classifier itself is
        returned.

        Args:
            device: one of `devices`.

        Returns:
            The classifier there.
        """
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
        """The size of its weights, in bytes."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.params))

    @property
    def is_at_rest(self) -> bool:
        """Whether its weights lie in the host's memory.

        Each call then copies them to the device.
        """
        return any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(self.params))

    def at_rest(self) -> "Classifier":
        """The same classifier with its weights in the host's memory, for devices that cannot hold
        all networks at once.
        """
        return self._with(params=jax.device_get(self.params))

    def awake(self) -> "Classifier":
        """The same classifier with its weights on the device. They stay there while the caller
        keeps the returned object.

        A classifier that is not at rest is returned unchanged.
        """
        return self._with(params=jax.device_put(self.params)) if self.is_at_rest else self

    def _with(self, **changes: Any) -> "Classifier":
        other = copy.copy(self)
        vars(other).update(changes, _copies={})
        return other

    def with_gradient_precision(self, precision: str) -> "Classifier":
        """The same classifier with a gradient program of another precision. The logits program does
        not change.

        Args:
            precision: one of `oracle.PRECISIONS`.

        Returns:
            A classifier of this precision. The same object, if it has the precision already.

        Raises:
            InputError: if the precision is unknown, or the network cannot be computed in bfloat16.
        """
        checks.choice("precision", precision, oracle.PRECISIONS)
        if precision == self.oracle.gradient_precision:
            return self
        other = self._with(oracle=oracle.Oracle(self.oracle.apply, precision))
        if precision == "bfloat16":
            try:
                other.oracle.ask.eval_shape(self.params, *self.grey(1))
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{self.name} cannot be computed in bfloat16 ({str(error)[:200]}); give "
                    "another precision"
                ) from error
        return other

    def with_stock_layers(self) -> "Classifier":
        """The same classifier without `jaxadv.core.fast_layers`.

        Returns:
            A classifier whose programs are those of the function as it was given.
        """
        return self._with(oracle=oracle.Oracle(self.stock, self.oracle.gradient_precision))

    def check(self, images: ArrayLike) -> np.ndarray:
        """Check images for this network.

        Args:
            images: (N, S, S, 3), numbers in [0, 1].

        Returns:
            The same as float32.

        Raises:
            InputError: if the images have another shape, type or range.
        """
        return checks.images(images, size=self.input_size)

    def logits(self, images: ArrayLike) -> jax.Array:
        """The logits of images.

        Args:
            images: (N, S, S, 3) float32 in [0, 1].

        Returns:
            (N, K) float32.

        Raises:
            InputError: if the images have another shape, type or range.
        """
        return self.oracle.logits(self.params, self.check(images))

    def raw_logits(self, images: ArrayLike) -> jax.Array:
        """The output of the network with the background columns.

        Args:
            images: (N, S, S, 3) float32 in [0, 1].

        Returns:
            (N, label_offset + K) float32.

        Raises:
            InputError: if the images have another shape, type or range.
        """
        return self._raw.logits(self.params, self.check(images))

    def logits_and_gradient(self, images: ArrayLike, weights: ArrayLike) -> oracle.Answer:
        """Logits, and the gradient of ``sum_k weights[k] * logit_k`` with respect to each image.

        Args:
            images: (N, S, S, 3) float32 in [0, 1].
            weights: (N, K), one weight for each class of each image.

        Returns:
            ``logits`` (N, K) and ``gradient`` (N, S, S, 3), float32.

        Raises:
            InputError: if the images or weights have another shape, type or range.
        """
        checked = self.check(images)
        rows = np.asarray(weights, np.float32)
        if rows.shape != (len(checked), self.num_classes):
            raise InputError(
                f"weights have shape {rows.shape}; ({len(checked)}, {self.num_classes}) is "
                "needed: one row of class weights for each image"
            )
        return self.oracle.ask(self.params, checked, jax.vmap(oracle.linear)(jnp.asarray(rows)))

    def predict(self, images: ArrayLike) -> np.ndarray:
        """The class with the largest logit.

        Args:
            images: (N, S, S, 3) float32 in [0, 1].

        Returns:
            (N,) int32. Among equal logits the lowest class wins. -1 if a logit is NaN or infinite.

        Raises:
            InputError: if the images have another shape, type or range.
        """
        return metrics.predicted(np.asarray(self.logits(images)))

    def compile(self, batch: int, programs: Sequence[str] = PROGRAMS) -> None:
        """Compile programs of the oracle on every device, by running them on grey images.

        The call waits for the results, so a lack of memory shows here. It may run in another
        thread. The programs are for arrays that are committed to a device, like those of `batches`
        and of `jaxadv.core.engine`. For other arrays JAX would compile them again.

        Args:
            batch: the number of images.
            programs: names out of `PROGRAMS`.
        """
        for name in programs:
            program, question = self.kept(name, batch)
            for device in self.devices:
                with on_device(device):
                    jax.block_until_ready(
                        program(self.on(device).params, *jax.device_put(question, device))
                    )

    def kept(self, name: str, batch: int) -> tuple[Program[Any], tuple[Any, ...]]:
        """A program of the oracle, and grey arguments for it.

        A network of this package is traced once on a machine; other processes read the traced
        program from disk.

        Args:
            name: one of `PROGRAMS`.
            batch: the number of images.

        Returns:
            The program, and its arguments after ``params``.
        """
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
        """``batch`` grey images and an objective of zero for each, to compile and to measure with.

        Args:
            batch: the number of images.

        Returns:
            Images (batch, S, S, 3) float32, and objectives with a leading axis.
        """
        images = np.full((batch, self.input_size, self.input_size, 3), 0.5, np.float32)
        return images, jax.tree.map(
            np.asarray, jax.vmap(oracle.linear)(jnp.zeros((batch, self.num_classes), jnp.float32))
        )

    def logits_in_batches(self, images: np.ndarray, batch: int) -> np.ndarray:
        """Logits of any number of images, computed in batches of one shape.

        The devices take the batches in turn. Copies of its first image fill the last batch.

        Args:
            images: (N, S, S, 3) float32 in [0, 1], already checked.
            batch: images of one call.

        Returns:
            (N, K) float32.
        """
        rows = list(self.awake().logits_of_batches(images, batch))
        return np.concatenate([np.zeros((0, self.num_classes), np.float32), *rows])

    def logits_of_batches(self, images: np.ndarray, batch: int) -> Iterator[jax.Array]:
        """As `logits_in_batches`, but yields the logits of each batch and does not wait for the
        devices.

        The classifier must not be at rest.

        Args:
            images: (N, S, S, 3) float32 in [0, 1], already checked.
            batch: images of one call.

        Yields:
            (n, K) float32, on the device, for the n images of a batch.
        """
        for device, filled, count in self.batches(images, batch):
            with on_device(device):
                logits = self.oracle.logits(self.on(device).params, filled)
                part = logits if count == batch else logits[:count]
            yield part

    def batches(self, images: np.ndarray, batch: int) -> Iterator[tuple[Device, jax.Array, int]]:
        """Put images on the devices, batch by batch. The devices take the batches in turn.

        Args:
            images: (N, S, S, 3) float32.
            batch: images of one batch.

        Yields:
            The device, ``batch`` images on it, and how many of them are not padding.
        """
        for start, device in zip(range(0, len(images), batch), itertools.cycle(self.devices)):  # noqa: B905
            part = images[start : start + batch]
            filled = (
                part
                if len(part) == batch
                else np.concatenate([part, np.repeat(part[:1], batch - len(part), axis=0)])
            )
            yield device, jax.device_put(filled, device), len(part)


def on_device(device: Device) -> contextlib.AbstractContextManager[Any]:
    """A context in which JAX uses ``device``.

    With a single device the context does nothing, since a default device would make JAX trace and
    compile again.
    """
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
        name: the name of the network, such as "vgg_16".
        zoo: "digits" for the small trained networks in this package, or "imagenet" for the
            full-size ones.
        weights: for "imagenet", a folder that `convert` wrote, or an .npz with the original names
            of the arrays.
        input_size: pixels, for a network that can run at several sizes. None for its usual size.

    Returns:
        The classifier, with its weights on the device.

    Raises:
        InputError: if the name is unknown, or if the checkpoint is missing, truncated or of another
            network.
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
