"""The final judgement of every attack: the network's logits in the highest precision, and the
distance from the clean image.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxadv.core import engine, metrics
from jaxadv.core.classifier import Classifier
from jaxadv.core.probe import AttackItem, AttackOutcome
from jaxadv.core.result import AttackResult

AT_ONCE = ("gpu",)
"""Back ends on which attacks of many lanes are judged before their images leave the device.

This saves a copy of the images to the device. A TPU is not among them, since it has no double
precision for the distances.
"""
WORKERS = 4
"""The number of threads for distances.

A photograph takes half a millisecond, so with one thread a GPU waits in short attacks.
"""


def distances_on_device(images: jax.Array, clean: jax.Array) -> dict[str, jax.Array]:
    """As `metrics.distances`, but on the device of the images. It also computes in double
    precision.

    Sums on a device may differ from those of NumPy in the last bits of double precision. Rounding
    to float32 hides the difference.

    Args:
        images: (N, H, W, 3) float32.
        clean: (N, H, W, 3) float32.

    Returns:
        ``l0``, ``l1``, ``l2`` and ``linf``, each (N,) float32, in pixel units of range 1.
    """
    with jax.enable_x64(True):
        return _distances(images, clean)


@jax.jit
def _distances(images: jax.Array, clean: jax.Array) -> dict[str, jax.Array]:
    apart = jnp.abs(images.astype(jnp.float64) - clean.astype(jnp.float64)).reshape(len(images), -1)
    values = (
        jnp.sum(apart != 0, axis=1),
        jnp.sum(apart, axis=1),
        jnp.sqrt(jnp.sum(apart * apart, axis=1)),
        jnp.max(apart, axis=1),
    )
    return {
        name: value.astype(jnp.float32)
        for name, value in zip(metrics.DISTANCES, values, strict=True)
    }


class Judge:
    """Judges finished attacks while others still run. It must be closed.

    The devices compute logits, and threads compute distances.

    Args:
        clf: the network.
        images: (N, H, W, 3) float32, the clean images.
        classes: (N,) int32, the target class where ``targeted``, else the true class.
        targeted: (N,) bool.
        lanes: images of one call of the network on a device.
    """

    def __init__(
        self,
        clf: Classifier,
        images: np.ndarray,
        classes: np.ndarray,
        targeted: np.ndarray,
        lanes: int,
    ):
        self.look: engine.Look | None = (
            self._look_at_once if jax.default_backend() in AT_ONCE else None
        )
        """For `jaxadv.core.engine.run`.

        It judges attacks on the device. Each must still be added.
        """
        self._judged: set[int] = set()
        self._clf = clf
        self._images = images
        self._classes = classes
        self._targeted = targeted
        self._lanes = lanes
        self._adversarial = np.empty_like(images)
        self._found, self._searches, self._invalid, self._zero_gradient = np.zeros(
            (4, len(images)), bool
        )
        self._gradients, self._forwards = np.zeros((2, len(images)), np.int32)
        self._details: list[dict[str, Any]] = [{}] * len(images)
        self._ended: list[int] = []  # finished attacks that are not judged yet
        self._logits: list[tuple[Sequence[int], list[jax.Array]]] = []
        self._distances: list[tuple[Sequence[int], Future[dict[str, np.ndarray]]]] = []
        self._at_once: list[
            tuple[Sequence[int], Sequence[int], jax.Array, dict[str, jax.Array]]
        ] = []
        self._workers = ThreadPoolExecutor(WORKERS)

    def close(self) -> None:
        """End its threads."""
        self._workers.shutdown(cancel_futures=True)

    def add(
        self,
        index: int,
        outcome: AttackOutcome,
        *,
        searches: bool,
        invalid: bool = False,
        zero_gradient: bool = False,
    ) -> None:
        """Add the outcome of a finished attack.

        Args:
            index: its number, 0 to N - 1.
            outcome: the result of its probe.
            searches: the probe's property ``searches``.
            invalid: whether a logit or a gradient value was NaN or infinite during the attack.
            zero_gradient: whether all gradients during the attack were zero everywhere.
        """
        self._searches[index] = searches
        self._invalid[index] = invalid
        self._zero_gradient[index] = zero_gradient
        self._adversarial[index] = outcome.image
        self._found[index] = outcome.found
        self._details[index] = outcome.details
        self._gradients[index] = outcome.gradients
        self._forwards[index] = outcome.forwards
        if index in self._judged:
            return
        self._ended.append(index)
        if len(self._ended) == self._lanes * len(self._clf.devices):
            self._look()

    def _look_at_once(
        self,
        there: Classifier,
        numbers: Sequence[int],
        lanes: Sequence[int],
        items: AttackItem,
        outcomes: AttackOutcome,
    ) -> None:
        """Judge the attacks ``numbers``, which are in ``lanes`` of all lanes, on their device."""
        logits = there.oracle.logits(there.params, outcomes.image)
        measured = distances_on_device(outcomes.image, items.image)
        for array in (logits, *measured.values()):
            array.copy_to_host_async()
        self._at_once.append((numbers, lanes, logits, measured))
        self._judged.update(numbers)

    def _look(self) -> None:
        """Start to judge the finished attacks."""
        numbers = self._ended
        self._ended = []
        in_a_row = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        rows = (
            slice(numbers[0], numbers[0] + len(numbers)) if in_a_row else numbers
        )  # a slice makes no copy
        adversarial = self._adversarial[rows]
        clean = self._images[rows]
        self._logits.append((numbers, list(self._clf.logits_of_batches(adversarial, self._lanes))))
        if clean.size <= metrics.BLOCK:  # a thread would take longer to start
            measured: Future[dict[str, np.ndarray]] = Future()
            measured.set_result(metrics.distances(adversarial, clean))
            self._distances.append((numbers, measured))
            return
        share = max(-(-len(numbers) // WORKERS), metrics.BLOCK // clean[0].size)
        for part in (slice(start, start + share) for start in range(0, len(numbers), share)):
            self._distances.append(
                (
                    numbers[part],
                    self._workers.submit(metrics.distances, adversarial[part], clean[part]),
                )
            )

    def result(self) -> AttackResult:
        """The result of all attacks. Each of them must have been added.

        Returns:
            A result with N rows.
        """
        count = len(self._images)
        adversarial = self._adversarial
        classes = self._classes
        targeted = self._targeted
        if self._ended:
            self._look()
        logits = np.zeros((count, self._clf.num_classes), np.float32)
        for numbers, parts in self._logits:
            logits[numbers] = np.concatenate(parts)
        for numbers, lanes, seen, _ in self._at_once:
            logits[numbers] = np.asarray(seen)[lanes]
        success = self._found & metrics.fooled(logits, classes, targeted)
        invalid = ~success & (self._invalid | ~metrics.valid(logits))
        revoked = self._found & ~success & self._searches  # these searches failed: clean images
        distances = {name: np.zeros(count, np.float32) for name in metrics.DISTANCES}
        for numbers, measured in self._distances:
            for name, values in measured.result().items():
                distances[name][numbers] = values
        for numbers, lanes, _, there in self._at_once:
            for name, values in there.items():
                distances[name][numbers] = np.asarray(values)[lanes]
        if revoked.any():
            adversarial[revoked] = self._images[revoked]
            logits[revoked] = self._clf.logits_in_batches(self._images[revoked], self._lanes)
        kinds = [
            {(name, np.shape(value)) for name, value in details.items()}
            for details in self._details
        ]
        shared = sorted(name for name, _ in set.intersection(*kinds)) if kinds else []
        return AttackResult(
            adversarial=adversarial,
            success=success,
            near_tie=metrics.near_ties(logits, classes, targeted) & self._found,
            revoked=revoked,
            invalid=invalid,
            zero_gradient=self._zero_gradient & ~success & ~invalid,
            predicted=metrics.predicted(logits),
            **{
                name: np.where(success, values, np.float32(np.nan))
                for name, values in distances.items()
            },
            gradients=self._gradients,
            forwards=self._forwards + np.int32(1),
            details={
                name: np.stack([details[name] for details in self._details]) for name in shared
            },
            clean=self._images,
            classes=classes,
            targeted=targeted,
        )
