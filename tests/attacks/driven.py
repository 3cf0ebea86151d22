"""Probes driven without the engine: one compiled loop over all images, in float32 or float64, that
also shows what happens inside.

The recordings in golden/modern, the nets and images that they were made with (those of
golden/attacks).
"""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import recorded

from jaxadv.core import oracle
from jaxadv.core.probe import AttackItem, Draw, select

GOLDEN = Path(__file__).parents[1] / "golden" / "modern"


@functools.cache
def arrays(file: str) -> dict[str, np.ndarray]:
    """All arrays of golden/modern/``file``.npz."""
    with np.load(GOLDEN / f"{file}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def fields(file: str, prefix: str) -> dict[str, np.ndarray]:
    """The recorded fields of one setting."""
    return {
        key.removeprefix(prefix + "__"): value
        for key, value in arrays(file).items()
        if key.startswith(prefix + "__")
    }


class NoisyItem(NamedTuple):
    """An attack's item with the recorded noise of its start."""

    image: Any
    label: Any
    targeted: Any
    draw: Any = None
    others: Any = None
    noise: Any = None


def items(
    net: str, kind: str = "untargeted", *, images: int = 16, noise: str | None = None, others=None
) -> AttackItem | NoisyItem:
    """The recorded images of a net with their labels or targets, with a leading axis.

    noise: "uniform" or "normal", in units of its scale. others: (images, T), classes by falling
    logit.
    """
    known = recorded.net(net)
    rows = slice(images)
    labels = known.targets[kind][rows].astype(np.int32)
    targeted = np.full(len(labels), kind != "untargeted")
    draw = Draw(np.zeros(len(labels), np.int32), np.arange(len(labels), dtype=np.int32))
    others = None if others is None else np.asarray(others, np.int32)[rows]
    if noise is None:
        return AttackItem(known.images[rows], labels, targeted, draw, others)
    scale = {"uniform": 128, "normal": 32}[noise]
    return NoisyItem(
        known.images[rows],
        labels,
        targeted,
        draw,
        others,
        arrays("noise")[noise][rows].astype(np.float32) / scale,
    )


def joined(*queues):
    """Several queues of one kind as one."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *queues)


def drive(
    probe, queue, net: str, *, dtype=np.float32, observe=lambda state: (), cycles: int | None = None
):
    """Every item from its start until the schedule's end.

    Settings, weights and items are arguments of one program, so that those of one shape share it.

    Returns (results with a leading axis of items, what ``observe`` made of the state after each
    cycle, with axes cycle and item).
    """
    known = recorded.net(net).classifier

    def cast(leaf):
        leaf = np.asarray(leaf)
        return leaf.astype(dtype) if np.issubdtype(leaf.dtype, np.floating) else leaf

    with jax.enable_x64(dtype == np.float64):
        arguments = jax.tree.map(cast, (probe, known.params, queue))
        run = jax.jit(functools.partial(_loop, known.oracle.apply, observe, cycles))
        return jax.tree.map(np.asarray, run(*arguments))


def _loop(apply, observe, cycles, probe, params, queue):
    schedule = probe.schedule
    count = cycles or (schedule.most if schedule.cycles is None else schedule.cycles)
    classes = jax.eval_shape(apply, params, queue.image).shape[1]

    def cycle(states, _):
        for phase in schedule.cycle:
            points, objectives = jax.vmap(
                lambda item, state, phase=phase: probe.ask(item, state, phase, classes)
            )(queue, states)
            logits, gradient = apply(params, points), None
            if phase.gradient:
                _, pull_back = jax.vjp(lambda pixels: apply(params, pixels), points)
                several = objectives.label.ndim == 2

                def of(objectives, logits=logits, pull_back=pull_back):
                    return pull_back(
                        jax.vmap(jax.grad(oracle.value, argnums=1))(objectives, logits)
                    )[0]

                gradient = (
                    jax.vmap(of, in_axes=1, out_axes=1)(objectives) if several else of(objectives)
                )

            def tell(item, state, answer, phase=phase):
                following = probe.tell(item, state, answer, phase)
                return following if schedule.cycles else select(probe.done(state), state, following)

            states = jax.vmap(tell)(queue, states, oracle.Answer(logits, gradient))
        return states, observe(states)

    states, seen = jax.lax.scan(cycle, jax.vmap(probe.init)(queue), None, length=count)
    return jax.vmap(probe.result)(queue, states), seen


def differences(values, recorded_values) -> np.ndarray:
    """Relative, of those that both have."""
    both = np.isfinite(values) & np.isfinite(recorded_values)
    return np.abs(values[both] / recorded_values[both] - 1)
