"""What a probe is: an ask/tell state machine for one image that never sees a model.

A probe is a frozen dataclass of settings, registered as a pytree: numbers that may be swept are leaves, what sets shapes or
choices is static. The engine stacks many (settings, item, state) triples into lanes, and `vmap` makes the batch. `Probe` says what
every probe has, and `AttackProbe` what an attack has beside that.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from jaxadv.core.oracle import Answer, Objective

Question: TypeAlias = tuple[Array, Objective]
"""An image (H, W, 3), and the scalar function of its logits whose gradient is asked for."""
Item = TypeVar("Item", contravariant=True)
State = TypeVar("State")
Result = TypeVar("Result", covariant=True)
Settings = TypeVar("Settings")


class Phase(NamedTuple):
    """One evaluation in a probe's schedule."""

    name: str
    gradient: bool  # does it need the gradient, or the logits alone?


class Schedule(NamedTuple):
    """``prologue`` once, then ``cycle`` again and again: ``cycles`` times. Where that is None: until `Probe.done`, at most ``most`` times.

    Only a probe of fixed length may have a prologue: its lanes all start together.
    """

    prologue: tuple[Phase, ...]
    cycle: tuple[Phase, ...]
    cycles: int | None
    most: int = 0

    def phases(self) -> tuple[Phase, ...]:
        """All phases in order, at most."""
        return self.prologue + self.cycle * (self.most if self.cycles is None else self.cycles)

    def evaluations(self) -> tuple[int, int]:
        """How many it has at most: with gradient, and of logits alone."""
        phases = self.phases()
        gradients = sum(phase.gradient for phase in phases)
        return gradients, len(phases) - gradients


class Draw(NamedTuple):
    """What an attack's random numbers follow from, beside the number of its restart."""

    seed: Array  # () int32
    image_id: Array  # () int32


class AttackItem(NamedTuple):
    """What an attack works on. The last two fields are None for an attack that does not need them."""

    image: Array  # (H, W, 3) float32 in [0, 1], the clean image x0
    label: Array  # () int32: the target class t if targeted, else the true class y
    targeted: Array  # () bool
    draw: Draw | None = None
    others: Array | None = (
        None  # (T,) int32: the classes but the label by falling clean logit, the runner-up first
    )


class AttackNeeds(NamedTuple):
    """What an attack needs beside image, class and whether it is targeted: the attribute ``needs`` of its settings."""

    draw: bool = False
    others: int = 0  # at most so many classes
    classes: int = 2  # a network must have at least so many
    most_classes: int | None = None  # and at most so many, since each costs a backward pass
    untargeted: bool = False  # it has no targeted form


def needs_of(attack: Any) -> AttackNeeds:
    """What an attack needs. One that needs nothing more need not have the attribute ``needs``."""
    return getattr(attack, "needs", AttackNeeds())


class AttackOutcome(NamedTuple):
    """What an attack leaves."""

    image: Array  # (H, W, 3) float32 in [0, 1]
    found: Array  # () bool: a searching attack saw a success; always True for a fixed budget, which is judged afterwards
    gradients: Array  # () int32, evaluations with gradient
    forwards: Array  # () int32, evaluations of logits alone
    details: dict[str, Array]


@runtime_checkable
class Probe(Protocol[Item, State, Result]):
    """What the engine drives. All methods are of a single image, without a batch dimension, and pure: `vmap` and `jit` run them.

    Item, State and Result are pytrees of arrays. ``phase`` is static.
    """

    @property
    def schedule(self) -> Schedule:
        """The phases it goes through. It follows from static settings alone."""
        ...

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        ...

    def init(self, item: Item) -> State:
        """The state before the first question."""
        ...

    def ask(self, item: Item, state: State, phase: Phase, num_classes: int) -> Question:
        """The question of a phase to a model with ``num_classes`` classes."""
        ...

    def tell(self, item: Item, state: State, answer: Answer, phase: Phase) -> State:
        """The state after the answer to the question of a phase. ``answer`` has a gradient if the phase asks for one."""
        ...

    def done(self, state: State) -> Array:
        """() bool, whether it has ended before its schedule does. A probe of fixed length never has, and the engine does not ask it."""
        ...

    def result(self, item: Item, state: State) -> Result:
        """What the probe leaves."""
        ...


@runtime_checkable
class AttackProbe(Probe[AttackItem, State, AttackOutcome], Protocol[State]):
    """An attack, as a probe."""

    @property
    def searches(self) -> bool:
        """Whether it keeps only what fooled the model, and says in ``found`` whether anything did. It follows from static settings alone.

        A search that has not succeeded leaves the clean image. Every other attack leaves its last image, whatever the model says of it.
        """
        ...


def never_done() -> Array:
    """What `Probe.done` says for a probe of fixed length."""
    return jnp.array(False)


def settings(
    *, data: tuple[str, ...], static: tuple[str, ...]
) -> Callable[[type[Settings]], type[Settings]]:
    """Class decorator: register a frozen dataclass as a pytree with ``data`` as leaves."""
    return lambda cls: jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=static)


def select(condition: Array, if_true: Any, if_false: Any) -> Any:
    """`jnp.where` over two pytrees of one structure with a scalar condition."""
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), if_true, if_false)


def centred(image: Array) -> Array:
    """Pixels in [0, 1] as the study's in [-1/2, 1/2]. Attacks compute there: its rounding decides near ties of sign gradients."""
    return image - 0.5


def uncentred(point: Array, item: AttackItem) -> Array:
    """The study's pixels in [0, 1]; one that equals the clean image's keeps that value to the bit."""
    return jnp.where(point == centred(item.image), item.image, point + 0.5)


def fools(logits: Array, item: AttackItem, confidence: Array | float | None = None) -> Array:
    """The release's success rule for a candidate: argmax is the target, or is not the true class, after taking
    ``confidence`` (kappa) from the target's logit, or adding it to the true class's. NaN or infinite logits fool nobody."""
    if confidence is not None:
        logits = logits.at[item.label].add(jnp.where(item.targeted, -confidence, confidence))
    return ((jnp.argmax(logits) == item.label) == item.targeted) & jnp.isfinite(logits).all()
