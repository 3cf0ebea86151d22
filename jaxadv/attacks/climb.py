"""One run of Auto-PGD: the iterate, the best point, the step size and its checkpoints.

Croce & Hein 2020, algorithm 1, for the infinity norm and L2; Croce & Hein 2021, section 3, for L1.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxadv.attacks.projections import kth_largest, length, onto_l1_ball_in_box, unit
from jaxadv.core.probe import select

MOMENTUM = 0.75
"""Share of the new step in the next point."""
TINY = 1e-12
UNCHANGED = 1e-6
"""A value that has moved by less has not: rounding alone moves values so far in float32."""


class Climb(NamedTuple):
    """Lengths are in pixel units of range 1."""

    point: Array  # (H, W, 3), what is asked about
    previous: Array  # (H, W, 3), the iterate before it
    best: Array  # (H, W, 3), the point of the highest loss
    best_gradient: Array  # (H, W, 3)
    best_loss: Array  # ()
    loss: Array  # (), of the iterate before
    step: Array  # ()
    evaluation: Array  # () int32, since the start
    risen: Array  # () int32, steps since the last checkpoint that raised the loss
    since: Array  # () int32, steps since then
    interval: Array  # () int32, steps between the last checkpoint and the next
    checked_loss: Array  # (), the highest loss at the last checkpoint
    has_halved: Array  # () bool, at the last checkpoint
    kappa: Array  # (), L1: the share of the coordinates that the next step changes
    changed: Array  # (), L1: coordinates changed in the best point at the last checkpoint


class Move(NamedTuple):
    """What the steps of a run depend on."""

    image: Array  # (H, W, 3), the clean image
    eps: Array  # (), radius of the ball
    norm: float  # inf, 2 or 1
    steps: int  # of the whole run
    rho: Array | float  # share of the steps between checkpoints that must have raised the loss
    as_released: bool  # L1: see `changed_values` and `_steepest`


def begin(
    point: Array, eps: Array, *, norm: float, interval: Array, kappa: Array, changed: Array
) -> Climb:
    """A run before its first evaluation, which is that of its start ``point``."""
    zeros, zero, none = jnp.zeros_like(point), jnp.int32(0), jnp.zeros_like(eps)
    return Climb(
        point=point,
        previous=point,
        best=point,
        best_gradient=zeros,
        best_loss=none,
        loss=none,
        step=eps if norm == 1 else 2 * eps,
        evaluation=zero,
        risen=zero,
        since=zero,
        interval=interval,
        checked_loss=none,
        has_halved=jnp.array(True),
        kappa=kappa,
        changed=changed,
    )


def first_interval(norm: float, steps: int) -> int:
    """Steps until the first checkpoint of a run."""
    return share(0.04 if norm == 1 else 0.22, steps)


def share(part: float, steps: int) -> int:
    """So many of the steps, rounded down, and one at least."""
    return max(int(part * steps), 1)


def observe(climb: Climb, loss: Array, gradient: Array, *, first_is_zero: bool) -> Climb:
    """Take in the loss and the gradient at the point.

    first_is_zero: the loss before the first step counts as 0, as in the reference's code.
    """
    is_start = climb.evaluation == 0
    best, best_gradient, best_loss = select(
        is_start | (loss > climb.best_loss),
        (climb.point, gradient, loss),
        (climb.best, climb.best_gradient, climb.best_loss),
    )
    before = jnp.where(is_start, loss, climb.loss)
    at_start = jnp.zeros_like(loss) if first_is_zero else loss
    return climb._replace(
        best=best,
        best_gradient=best_gradient,
        best_loss=best_loss,
        loss=jnp.where(is_start, at_start, loss),
        evaluation=climb.evaluation + 1,
        risen=climb.risen + (loss > before).astype(jnp.int32),
        since=climb.since + (~is_start).astype(jnp.int32),
        checked_loss=jnp.where(is_start, loss, climb.checked_loss),
    )


def step(climb: Climb, gradient: Array, move: Move) -> Climb:
    """Where a checkpoint is due, look back; then go to the next point."""
    look_back = _look_back_in_l1 if move.norm == 1 else _look_back
    is_first = climb.evaluation == 1
    climb, gradient = look_back(climb, gradient, move)
    image, eps, point = move.image, move.eps, climb.point
    if move.norm == 1:
        moved = point + climb.step * _steepest(gradient, climb.kappa, move.as_released)
        return climb._replace(
            previous=point, point=image + onto_l1_ball_in_box(moved - image, image, eps)
        )
    direction = jnp.sign(gradient) if move.norm == np.inf else unit(gradient)
    ahead = jnp.where(is_first, 1.0, MOMENTUM).astype(eps.dtype)
    stepped = into_ball(point + climb.step * direction, image, eps, move.norm)
    moved = point + ahead * (stepped - point) + (1 - ahead) * (point - climb.previous)
    return climb._replace(previous=point, point=into_ball(moved, image, eps, move.norm))


def _look_back(climb: Climb, gradient: Array, move: Move) -> tuple[Climb, Array]:
    """Conditions 1 and 2: halve the step and go back to the best point.

    As released, the momentum does not know that the point has changed.
    """
    due = climb.since == climb.interval
    needed = move.rho * climb.interval.astype(climb.loss.dtype)
    oscillates = climb.risen.astype(climb.loss.dtype) <= needed
    stalls = ~climb.has_halved & (climb.checked_loss >= climb.best_loss)
    halve = due & (oscillates | stalls)
    zero = jnp.zeros_like(climb.since)
    shorter = jnp.maximum(climb.interval - share(0.03, move.steps), share(0.06, move.steps))
    checked = climb._replace(
        step=jnp.where(halve, climb.step / 2, climb.step),
        risen=zero,
        since=zero,
        interval=shorter,
        checked_loss=climb.best_loss,
        has_halved=halve,
    )
    return _go_back(halve, select(due, checked, climb), gradient)


def _look_back_in_l1(climb: Climb, gradient: Array, move: Move) -> tuple[Climb, Array]:
    """Go back, with the first step size, where the perturbation has become sparser.

    Elsewhere the step size shrinks.
    """
    due = climb.since == climb.interval
    changed = changed_values(climb.best - move.image, move.as_released)
    sparser = changed / climb.changed < 0.95
    shorter = jnp.clip(climb.step / 1.5, move.eps / 10, move.eps)
    checked = climb._replace(
        step=jnp.where(sparser, move.eps, shorter),
        kappa=changed / move.image.size / 1.5,
        changed=changed,
        since=jnp.zeros_like(climb.since),
    )
    return _go_back(due & sparser, select(due, checked, climb), gradient)


def _go_back(condition: Array, climb: Climb, gradient: Array) -> tuple[Climb, Array]:
    """To the best point and its gradient."""
    point = jnp.where(condition, climb.best, climb.point)
    return climb._replace(point=point), jnp.where(condition, climb.best_gradient, gradient)


def spread(noise: Array, image: Array, eps: Array, norm: float) -> Array:
    """A start: the image and noise scaled to norm eps, within the box.

    In L1 the perturbation is the nearest one to the noise in ball and box.
    """
    if norm == 1:
        return jnp.clip(image + onto_l1_ball_in_box(noise, image, eps), 0, 1)
    return jnp.clip(image + eps * noise / (length(noise, norm) + TINY), 0, 1)


def into_ball(point: Array, image: Array, eps: Array, norm: float) -> Array:
    """Into the ball of norm inf or 2 around the image first, then into the box."""
    if norm == np.inf:
        return jnp.clip(jnp.clip(point, image - eps, image + eps), 0, 1)
    offset = point - image
    size = length(offset, 2)
    return jnp.clip(image + offset / (size + TINY) * jnp.minimum(eps, size), 0, 1)


def changed_values(perturbation: Array, as_released: bool) -> Array:
    """How many values of a perturbation are not zero, (), in its dtype.

    As released, those that rounding alone has moved count, too. In float32 they keep later steps
    from becoming as sparse as they should.
    """
    if as_released:
        return length(perturbation, 0)
    return jnp.sum(jnp.abs(perturbation) > UNCHANGED).astype(perturbation.dtype)


def _steepest(gradient: Array, kappa: Array, as_released: bool) -> Array:
    """Signs of the share kappa of the largest gradients, ties kept, with L1 norm 1.

    Their number is rounded down, to one at least. As released it is rounded up. Then two changed
    values stay two for ever, since steps move both alike.
    """
    size = jnp.abs(gradient)
    if as_released:
        rank = size.size - jnp.clip((1 - kappa) * size.size, 0, size.size - 1).astype(jnp.int32)
    else:  # the product of a whole number may lie just below it
        rank = jnp.clip(kappa * size.size + 1e-3, 1, size.size).astype(jnp.int32)
    chosen = size >= kth_largest(size, rank)
    signs = jnp.where(chosen, jnp.sign(gradient), jnp.zeros_like(gradient))
    return signs / (length(signs, 1) + 1e-10)
