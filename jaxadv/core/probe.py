"""Probes: ask/tell state machines for one image that never see a model.

A probe is a frozen dataclass of settings, registered as a pytree. Numbers that may be swept are
leaves. Settings that decide shapes or choices are static. The engine stacks many triples (settings,
item, state) into lanes, and `vmap` makes the batch. `Probe` is the protocol of every probe.
`AttackProbe` is the protocol of an attack.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from jaxadv.core.oracle import Answer, Objective

Question: TypeAlias = tuple[Array, Objective]
"""An image (H, W, 3), and the objective, a scalar function of its logits, whose gradient is needed.
"""
Item = TypeVar("Item", contravariant=True)
State = TypeVar("State")
Result = TypeVar("Result", covariant=True)
Settings = TypeVar("Settings")


class Phase(NamedTuple):
    """One evaluation in a probe's schedule."""

    name: str
    gradient: bool  # whether it needs the gradient; otherwise it needs only the logits


class Schedule(NamedTuple):
    """The evaluations of a probe: ``prologue`` once, then ``cycle`` repeatedly.

    The cycle is repeated ``cycles`` times. If ``cycles`` is None, it is repeated until
    `Probe.done`, at most ``most`` times. Only a probe of fixed length may have a prologue, since
    its lanes all start together.
    """

    prologue: tuple[Phase, ...]
    cycle: tuple[Phase, ...]
    cycles: int | None
    most: int = 0

    def phases(self) -> tuple[Phase, ...]:
        """All phases in order, of the longest possible course."""
        return self.prologue + self.cycle * (self.most if self.cycles is None else self.cycles)

    def evaluations(self) -> tuple[int, int]:
        """The largest number of evaluations with gradient, and of logits alone."""
        cycles = self.most if self.cycles is None else self.cycles
        gradients = sum(phase.gradient for phase in self.prologue)
        gradients += cycles * sum(phase.gradient for phase in self.cycle)
        return gradients, len(self.prologue) + cycles * len(self.cycle) - gradients


class Draw(NamedTuple):
    """The source of an attack's random numbers. The number of a restart is added to it."""

    seed: Array  # () int32
    image_id: Array  # () int32


class AttackItem(NamedTuple):
    """The input of an attack on one image.

    The last two fields are None for an attack that does not need them.
    """

    image: Array  # (H, W, 3) float32 in [0, 1], the clean image x0
    label: Array  # () int32: the target class t if targeted, else the true class y
    targeted: Array  # () bool
    draw: Draw | None = None
    others: Array | None = None
    """(T,) int32: the classes except the label, by falling clean logit."""


class AttackNeeds(NamedTuple):
    """The further needs of an attack: the attribute ``needs`` of its settings."""

    draw: bool = False  # whether it draws random numbers
    others: int = 0  # the largest number of other classes that it uses
    classes: int = 2  # the least number of classes of a network
    most_classes: int | None = None  # the largest, where each class costs a backward pass
    untargeted: bool = False  # whether it has no targeted form


def needs_of(attack: Any) -> AttackNeeds:
    """The needs of an attack. An attack without the attribute ``needs`` has the default needs.

    Args:
        attack: an attack with its settings.

    Returns:
        Its needs.
    """
    return getattr(attack, "needs", AttackNeeds())


class AttackOutcome(NamedTuple):
    """The outcome of an attack on one image."""

    image: Array  # (H, W, 3) float32 in [0, 1]
    # () bool: whether a search had a success; always True for a fixed budget, which is judged later
    found: Array
    gradients: Array  # () int32, evaluations with gradient
    forwards: Array  # () int32, evaluations of logits alone
    details: dict[str, Array]


@runtime_checkable
class Probe(Protocol[Item, State, Result]):
    """The protocol between a probe and the engine.

    All methods are pure functions for a single image, without a batch dimension. `vmap` and `jit`
    run them. Item, State and Result are pytrees of arrays. ``phase`` is static.
    """

    @property
    def schedule(self) -> Schedule:
        """The phases of the probe. They depend on static settings alone."""
        ...

    def check(self) -> None:
        """Raises InputError if a setting is out of range."""
        ...

    def init(self, item: Item) -> State:
        """The state before the first question.

        Args:
            item: the input.

        Returns:
            The state.
        """
        ...

    def ask(self, item: Item, state: State, phase: Phase, num_classes: int) -> Question:
        """The question of a phase to a model with ``num_classes`` classes.

        Args:
            item: the input.
            state: the state before the question.
            phase: the phase, static.
            num_classes: K, static.

        Returns:
            An image (H, W, 3) and an objective.
        """
        ...

    def tell(self, item: Item, state: State, answer: Answer, phase: Phase) -> State:
        """The state after the answer to a question. The answer has a gradient if the phase needs
        one.

        Args:
            item: the input.
            state: the state before the question.
            answer: the model's answer: logits (K,), and the gradient or None.
            phase: the phase of the question, static.

        Returns:
            The next state.
        """
        ...

    def done(self, state: State) -> Array:
        """Whether the probe has ended before its schedule. The engine does not call it for a probe
        of fixed length.

        Args:
            state: the state.

        Returns:
            () bool.
        """
        ...

    def result(self, item: Item, state: State) -> Result:
        """The result of the probe.

        Args:
            item: the input.
            state: the final state.

        Returns:
            The result.
        """
        ...


@runtime_checkable
class AttackProbe(Probe[AttackItem, State, AttackOutcome], Protocol[State]):
    """A probe that is an attack."""

    @property
    def searches(self) -> bool:
        """Whether the attack is a search: it keeps only images that fool the model. It depends on
        static settings alone.

        A search without a success returns the clean image, and ``found`` is False. Any other attack
        returns its last image, successful or not.
        """
        ...


class Stage(NamedTuple):
    """One attack of a sequence."""

    name: str
    probe: AttackProbe[Any]


@runtime_checkable
class AttackSequence(Protocol):
    """Attacks one after the other, each on the images that the ones before left standing."""

    @property
    def sequence(self) -> tuple[Stage, ...]:
        """The attacks, in order."""
        ...


def never_done() -> Array:
    """The value of `Probe.done` for a probe of fixed length: False."""
    return jnp.array(False)


def settings(
    *, data: tuple[str, ...], static: tuple[str, ...]
) -> Callable[[type[Settings]], type[Settings]]:
    """A class decorator that registers a frozen dataclass as a pytree.

    Args:
        data: the names of the fields that are leaves.
        static: the names of the static fields.

    Returns:
        The decorator.
    """
    return lambda cls: jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=static)


def select(condition: Array, if_true: Any, if_false: Any) -> Any:
    """`jnp.where` with a scalar condition over two pytrees of the same structure.

    Args:
        condition: () bool.
        if_true: a pytree of arrays.
        if_false: a pytree of the same structure and shapes.

    Returns:
        One of the two.
    """
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), if_true, if_false)


def centred(image: Array) -> Array:
    """Shift pixels from [0, 1] to the study's range [-1/2, 1/2]. Attacks compute there, since
    rounding decides near ties of signs.

    Args:
        image: (H, W, 3) float32 in [0, 1].

    Returns:
        (H, W, 3) float32 in [-1/2, 1/2].
    """
    return image - 0.5


def uncentred(point: Array, item: AttackItem) -> Array:
    """Shift pixels from the study's range [-1/2, 1/2] to [0, 1]. An unchanged pixel gets exactly
    its clean value.

    Args:
        point: (H, W, 3) float32.
        item: the item with the clean image.

    Returns:
        (H, W, 3) float32.
    """
    return jnp.where(point == centred(item.image), item.image, point + 0.5)


def fools(logits: Array, item: AttackItem, confidence: Array | float | None = None) -> Array:
    """The release's success rule for a candidate.

    A targeted attack subtracts the confidence from the target's logit; the largest logit must then
    be the target's. An untargeted attack adds it to the true class's logit; the largest logit must
    then be another class's.

    Args:
        logits: (K,) float32. With NaN or infinite logits there is no success.
        item: the item with label and kind of attack.
        confidence: kappa, in logit units; None for 0.

    Returns:
        () bool.
    """
    if confidence is not None:
        logits = logits.at[item.label].add(jnp.where(item.targeted, -confidence, confidence))
    return ((jnp.argmax(logits) == item.label) == item.targeted) & jnp.isfinite(logits).all()
