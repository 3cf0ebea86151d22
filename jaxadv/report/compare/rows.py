"""Which rows of two runs are the same, and in what the others differ."""

from typing import Any

import numpy as np
import pandas as pd

from jaxadv.store.run import Run

_KEYS = {
    "clean": ["model", "image_id"],
    "examples": ["model", "attack", "setting", "target_kind", "image_id"],
    "clever": ["model", "target_kind", "norm", "image_id", "target"],
    "transfer": ["source", "model", "attack", "setting", "target_kind"],
}
"""What a row is about. Of transfer, pairs of models are compared by what their rows add up to."""
_VALUES = {
    "clean": ["label", "predicted", "top5", "invalid", "digest"],
    "examples": [
        *("label", "target", "success", "near_tie", "revoked", "invalid", "zero_gradient"),
        *("predicted", "l0", "l1", "l2", "linf", "gradients", "forwards", "eps", "const"),
    ],
    "clever": ["label", "margin", "score", "lipschitz", "shape", "location", "scale", "p_value"],
}
MOST = 1000
"""Rows that differ, of each kind, that are listed."""
COUNTS = ["other_run", "kind", "both", "same", "different", "only_first", "only_other"]
CHANGED = ["other_run", "kind", "row", "column", "first_value", "other_value"]


def compared(first: Run, other: Run, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two runs, row by row.

    Args:
        first: a run.
        other: the run that is compared with it.
        name: of the other run.

    Returns:
        A table with the columns `COUNTS`, a row a kind, and one with `CHANGED`, a row for each
        value that differs, of the first `MOST` rows.
    """
    counts, changed = [], []
    for kind, keys in _KEYS.items():
        one, two = (_rows(run, kind) for run in (first, other))
        if not len(one) and not len(two):
            continue
        values = _VALUES.get(kind) or [column for column in one if column not in keys]
        one, two = (_indexed(rows, keys) for rows in (one, two))
        common = one.index.intersection(two.index)
        before, after = one.loc[common], two.loc[common]
        unlike = {name: _unlike(before[name], after[name]) for name in map(str, values)}
        differs = np.logical_or.reduce([*unlike.values()]) if len(common) else np.zeros(0, bool)
        counts.append(
            [
                *(name, kind, len(common), int((~differs).sum()), int(differs.sum())),
                *(len(one) - len(common), len(two) - len(common)),
            ]
        )
        for row in common[differs][:MOST]:
            for column in values:
                was, became = before.at[row, column], after.at[row, column]
                if not _alike(was, became):
                    about = ", ".join(map(str, row[:-1]))
                    changed.append([name, kind, about, column, _text(was), _text(became)])
    return (
        pd.DataFrame(counts, columns=COUNTS),
        pd.DataFrame(changed, columns=CHANGED, dtype=object),
    )


def _rows(run: Run, kind: str) -> pd.DataFrame:
    if kind == "transfer":
        return run.transfer_sums()
    return run.read(kind, [*_KEYS[kind], *_VALUES[kind]])


def _indexed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """By what they are about; of several rows on the same the first, the second, and so on."""
    plain = rows.astype(
        {name: str for name in keys if not pd.api.types.is_numeric_dtype(rows[name])}
    )
    return plain.assign(_turn=plain.groupby(keys, sort=False).cumcount()).set_index(
        [*keys, "_turn"]
    )


def _unlike(one: pd.Series, two: pd.Series) -> np.ndarray:
    """Where two columns differ; what is missing in both is the same."""
    return ~((one.to_numpy() == two.to_numpy()) | (one.isna() & two.isna()).to_numpy())


def _alike(one: Any, two: Any) -> bool:
    return bool(one == two) or bool(pd.isna(one) and pd.isna(two))


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.7g}"
    return str(value)
