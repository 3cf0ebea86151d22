"""Recurrent layers, as scans: the ATen operators of their names. PyTorch takes them apart into one
step a token, which compiles for minutes."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxadv.foreign.layout import Array, Value, plain
from model_ports.errors import InputError

State = tuple[Array, ...]
"""What a cell keeps: (hidden,), or of an LSTM (hidden, cell)."""
Cell = Callable[[Array, Array, State], State]
"""(what comes from the input, what comes from the hidden state, state) -> new state."""


def _lstm_cell(given: Array, kept: Array, state: State) -> State:
    taken, left, new, shown = jnp.split(given + kept, 4, axis=-1)
    cell = jax.nn.sigmoid(left) * state[1] + jax.nn.sigmoid(taken) * jnp.tanh(new)
    return jax.nn.sigmoid(shown) * jnp.tanh(cell), cell


def _gru_cell(given: Array, kept: Array, state: State) -> State:
    (reset, update, new), (old_reset, old_update, old) = (
        jnp.split(x, 3, axis=-1) for x in (given, kept)
    )
    new = jnp.tanh(new + jax.nn.sigmoid(reset + old_reset) * old)
    share = jax.nn.sigmoid(update + old_update)
    return ((1 - share) * new + share * state[0],)


def _tanh_cell(given: Array, kept: Array, state: State) -> State:
    return (jnp.tanh(given + kept),)


def _relu_cell(given: Array, kept: Array, state: State) -> State:
    return (jax.nn.relu(given + kept),)


def _layers(
    cell: Cell,
    input: Value,  # noqa: A002
    states: Sequence[Value],
    params: Sequence[Value],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Array, list[Array]]:
    """The output of the last layer, and the last states (layers * directions, N, features)."""
    x = plain(input).swapaxes(0, 1) if batch_first else plain(input)
    directions = 2 if bidirectional else 1
    count = len(params) // (num_layers * directions)
    last: list[State] = []
    for _ in range(num_layers):
        outputs = []
        for is_back in (False, True)[:directions]:
            first = len(last) * count
            inner, outer, *rest = (plain(each).T for each in params[first : first + count])
            biases = rest[:2] if has_biases else (0, 0)
            projection = rest[-1] if len(rest) % 2 else None

            def step(
                state: State, given: Array, outer=outer, bias=biases[1], projection=projection
            ) -> tuple[State, Array]:
                new = cell(given, state[0] @ outer + bias, state)
                if projection is not None:
                    new = (new[0] @ projection, *new[1:])
                return new, new[0]

            start = tuple(plain(state)[len(last)] for state in states)
            final, output = lax.scan(step, start, x @ inner + biases[0], reverse=is_back)
            last.append(final)
            outputs.append(output)
        x = jnp.concatenate(outputs, axis=-1)
    stacked = [jnp.stack(each) for each in zip(*last, strict=True)]
    return x.swapaxes(0, 1) if batch_first else x, stacked


def _recurrent(cell: Cell, *, is_lstm: bool = False) -> Callable[..., tuple[Array, ...]]:
    """The operator of a cell. An LSTM takes and gives two states, the others one."""

    def recurrent(
        input,  # noqa: A002
        hx,
        params,
        has_biases,
        num_layers,
        dropout,
        train,
        bidirectional,
        batch_first,
    ) -> tuple[Array, ...]:
        """Arrays (tokens, N, features), or (N, tokens, features) with ``batch_first``."""
        if dropout and train:
            raise InputError(
                f"dropout {dropout:g} draws random numbers; call eval(), or set it to 0"
            )
        states = hx if is_lstm else [hx]
        out, last = _layers(
            cell, input, states, params, has_biases, num_layers, bidirectional, batch_first
        )
        return out, *last

    return recurrent


ATEN: dict[str, Callable[..., Any]] = {
    "lstm.input": _recurrent(_lstm_cell, is_lstm=True),
    "gru.input": _recurrent(_gru_cell),
    "rnn_tanh.input": _recurrent(_tanh_cell),
    "rnn_relu.input": _recurrent(_relu_cell),
}
