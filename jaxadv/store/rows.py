"""Rows: the columns of each kind and their types, and a DataFrame as a table of exactly those."""

import pandas as pd
import pyarrow as pa

from model_ports.errors import InputError, unknown

# Each kind of row: its columns and their types. Classes are 0..K-1; pixels have range 1.
KINDS: dict[str, dict[str, str]] = {
    # What a model makes of a clean image.
    "clean": {
        "model": "str",
        "image_id": "int64",
        "label": "int32",
        "predicted": "int32",  # -1 if invalid
        "top5": "bool",  # the label is among the five largest outputs
        "invalid": "bool",  # a logit is NaN or infinite: the image has no class
        "digest": "str",  # SHA-256 of the picture's file; empty where the data's fingerprint says what it holds
    },
    # A picture of the data that could not be used.
    "dropped": {
        "model": "str",
        "image_id": "int64",
        "name": "str",
        "label": "int32",
        "reason": "str",
        "digest": "str",  # as for clean rows
    },
    # One attempt to fool a model. The values of its attack's settings are further columns (`SETTINGS`).
    "examples": {
        "model": "str",
        "attack": "str",  # its name in the catalogue
        "setting": "str",  # a label for people, e.g. "eps=0.1"
        "target_kind": "str",  # untargeted, random, least, top2
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "success": "bool",
        "near_tie": "bool",  # a failure that only the study's 0.001 rule would count
        "revoked": "bool",  # a failure that the attack took for a success, by logits of its gradient program
        "invalid": "bool",  # neither success nor failure: a logit or gradient was NaN or infinite
        "zero_gradient": "bool",  # a failure for which every gradient was zero everywhere
        "predicted": "int32",  # class of the adversarial image; -1 if its logits are not all finite
        "l0": "float32",  # this and the next four: NaN where the attempt failed
        "l1": "float32",
        "l2": "float32",
        "linf": "float32",
        "l2_per_pixel": "float32",  # l2 / (3 H W)
        "gradients": "int32",  # evaluations spent
        "forwards": "int32",
        "eps": "float32",  # ifgsm_search: the smallest that succeeded; fgsm, ifgsm: as set; else NaN
        "const": "float32",  # cw, ead: the best constant; else NaN
    },
    # One CLEVER score.
    "clever": {
        "model": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "target_kind": "str",
        "norm": "str",  # 1, 2, inf: of the distance that the score bounds
        "margin": "float32",  # logit of the label minus logit of the target, at the image
        "score": "float32",  # NaN if a logit or gradient was NaN or infinite; infinite if no sample had a gradient
        "lipschitz": "float64",  # this and the next five: the fit; NaN where there is none
        "shape": "float64",
        "location": "float64",
        "scale": "float64",
        "ks": "float64",
        "p_value": "float64",
        "maxima": "list<float32>",  # one a batch: what was fitted
    },
    # One adversarial image of a source model, shown to another.
    "transfer": {
        "source": "str",
        "attack": "str",
        "setting": "str",
        "target_kind": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # of the attack; -1 if untargeted
        "model": "str",  # the one that is shown the image
        "attacked": "bool",  # it has the clean image right, and is not invalid: rates are over these rows
        "invalid": "bool",  # a logit of the adversarial image is NaN or infinite
        "clean_predicted": "int32",  # this and the next: -1 if a logit is NaN or infinite
        "predicted": "int32",
        "source_success": "bool",
        "success": "bool",  # with the picture as it is
        "top5": "bool",
        "released_success": "bool",  # what the study's code would log: a failed search hands on no image
        "released_top5": "bool",
    },
    # The few pictures that the report shows.
    "adversarial": {
        "model": "str",
        "attack": "str",
        "setting": "str",
        "target_kind": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "predicted": "int32",  # class of the adversarial image
        "success": "bool",
        "size": "int32",  # S
        "clean": "list<float32>",  # this and the next: (S, S, 3) in [0, 1], row by row
        "adversarial": "list<float32>",
    },
}
_ARROW = {
    "str": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "list<float32>": pa.list_(pa.float32()),
}
SETTINGS = ("examples",)
"""Kinds whose parts have further columns: the settings of the part's attack, bool, int, float or str."""
ALSO_SETTINGS = ("eps",)
"""Columns of `KINDS` that are a setting of an attack that has a parameter of that name."""
DEFAULTS = {"digest": ""}
"""Columns that rows may lack when they are written, and what they then have."""
_MAY_BE_MISSING = ("float32", "float64")  # NaN; anything else must be there


def schema(kind: str) -> pa.Schema:
    if kind not in KINDS:
        raise unknown("kind of rows", kind, KINDS)
    return pa.schema([(name, _ARROW[dtype]) for name, dtype in KINDS[kind].items()])


def fits(kind: str, found: pa.Schema) -> bool:
    """Whether a part's columns are those of ``kind``, settings behind them where it has any."""
    expected = schema(kind)
    begin = pa.schema([found.field(place) for place in range(min(len(expected), len(found)))])
    return begin.equals(expected) and (kind in SETTINGS or len(found) == len(expected))


def table(kind: str, rows: pd.DataFrame) -> pa.Table:
    """``rows`` in the column order and types of ``kind``. Raises InputError."""
    columns = schema(kind)
    rows = rows.assign(
        **{
            name: value
            for name, value in DEFAULTS.items()
            if name in KINDS[kind] and name not in rows
        }
    )
    missing = [name for name in KINDS[kind] if name not in rows.columns]
    extra = [str(name) for name in rows.columns if name not in KINDS[kind]]
    if missing or (extra and kind not in SETTINGS):
        wrong = [
            f"{what} {', '.join(names)}"
            for what, names in (("lack", missing), ("have unknown", extra))
            if names
        ]
        raise InputError(
            f"{kind} rows {' and '.join(wrong)}; their columns are: {', '.join(KINDS[kind])}"
        )
    arrays = []
    for name, dtype in KINDS[kind].items():
        try:
            array = pa.Array.from_pandas(rows[name], type=_ARROW[dtype])
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"{kind} column {name!r} does not hold {dtype} ({one_line(error)}); convert it"
            ) from error
        if array.null_count and dtype not in _MAY_BE_MISSING:
            raise InputError(
                f"{kind} column {name!r} lacks {array.null_count} values; each row needs one: fill them in"
            )
        arrays.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    base = pa.Table.from_arrays(arrays, schema=columns)
    for name in extra:
        base = base.append_column(name, _setting(name, rows[name]))
    return base


def _setting(name: str, values: pd.Series) -> pa.Array:
    """A column of settings, each value bool, int, float or str. Raises InputError."""
    array = pa.Array.from_pandas(values)
    kinds = {pa.bool_(), pa.int64(), pa.float64(), pa.string()}
    array = array.cast(pa.string()) if pa.types.is_large_string(array.type) else array
    if array.type not in kinds:
        raise InputError(
            f"the setting {name!r} has type {array.type}; bool, int, float and str are allowed: convert it"
        )
    return array


def one_line(error: Exception) -> str:
    """What an exception says, without line breaks and not too long."""
    return " ".join(str(error).split())[:200]
