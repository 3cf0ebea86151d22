"""The last word on every attack: what the network says of its image in the highest precision, and how far that is from the clean one."""

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
"""Back ends where attacks of many lanes are judged before their images leave the device, which saves one way there. A TPU has no double
precision for the distances."""
WORKERS = 4
"""Threads for distances: a photograph takes half a millisecond, so that one for all would keep a GPU waiting for short attacks."""


def distances_on_device(images: jax.Array, clean: jax.Array) -> dict[str, jax.Array]:
    """As `metrics.distances`, where the images (N, H, W, 3) float32 are; in double precision too.

    Two sums of one number of terms may differ there in the last bits of double precision, which rounding to float32 hides.
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
    """Judges attacks as they end, while others go on: logits on the devices, distances in threads. A context manager.

    images: (N, H, W, 3), classes, targeted: (N,), as for `jaxadv.api.run_attacks`. lanes: images of one call of the network on a device.
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
        """For `jaxadv.core.engine.run`. What it has seen is judged, and has only to be added."""
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
        self._ended: list[int] = []  # attacks that nobody has looked at
        self._logits: list[tuple[Sequence[int], list[jax.Array]]] = []
        self._distances: list[tuple[Sequence[int], Future[dict[str, np.ndarray]]]] = []
        self._at_once: list[
            tuple[Sequence[int], Sequence[int], jax.Array, dict[str, jax.Array]]
        ] = []
        self._workers = ThreadPoolExecutor(WORKERS)

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *exception: object) -> None:
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
        """What attack ``index`` has left.

        Args:
            index: its number, 0 to N - 1.
            outcome: what its probe says.
            searches: whether the attack does, as its probe says.
            invalid: whether a logit or a value of a gradient was NaN or infinite on the way.
            zero_gradient: whether every gradient on the way was zero everywhere.
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
        """Have the attacks ``numbers`` judged, which are in these of all lanes, on the device where they are."""
        logits = there.oracle.logits(there.params, outcomes.image)
        measured = distances_on_device(outcomes.image, items.image)
        for array in (logits, *measured.values()):
            array.copy_to_host_async()
        self._at_once.append((numbers, lanes, logits, measured))
        self._judged.update(numbers)

    def _look(self) -> None:
        """Have the attacks judged that have ended."""
        numbers = self._ended
        self._ended = []
        in_a_row = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        rows = (
            slice(numbers[0], numbers[0] + len(numbers)) if in_a_row else numbers
        )  # a slice makes no copy
        adversarial = self._adversarial[rows]
        clean = self._images[rows]
        self._logits.append((numbers, list(self._clf.logits_of_batches(adversarial, self._lanes))))
        share = max(-(-len(numbers) // WORKERS), metrics.BLOCK // clean[0].size)
        for part in (slice(start, start + share) for start in range(0, len(numbers), share)):
            self._distances.append(
                (
                    numbers[part],
                    self._workers.submit(metrics.distances, adversarial[part], clean[part]),
                )
            )

    def result(self) -> AttackResult:
        """Of all attacks, each of which has been added."""
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
        found = self._found
        success = found & metrics.fooled(logits, classes, targeted)
        invalid = ~success & (self._invalid | ~metrics.valid(logits))
        revoked = found & ~success & self._searches  # a failed search, so clean
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
            near_tie=metrics.near_ties(logits, classes, targeted) & found,
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
