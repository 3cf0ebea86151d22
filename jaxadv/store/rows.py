"""Rows: the columns of each kind with their types, and the conversion of a DataFrame to them."""

import pandas as pd
import pyarrow as pa

from model_ports.errors import InputError, said, unknown

# Each kind of row: its columns and their types. Classes are 0..K-1; pixels have range 1.
KINDS: dict[str, dict[str, str]] = {
    # A model's prediction for a clean image.
    "clean": {
        "model": "str",
        "image_id": "int64",
        "label": "int32",
        "predicted": "int32",  # -1 if invalid
        "top5": "bool",  # the label is among the five largest outputs
        "invalid": "bool",  # a logit is NaN or infinite: the image has no class
        "digest": "str",  # SHA-256 of the picture's file; empty if the data's fingerprint covers it
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
    # One attempt to fool a model. The values of its attack's settings are further columns
    # (`SETTINGS`).
    "examples": {
        "model": "str",
        "attack": "str",  # its name in the catalogue
        "setting": "str",  # its label, e.g. "eps=0.1"
        "target_kind": "str",  # untargeted, random, least, top2
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "success": "bool",
        "near_tie": "bool",  # a failure that only the study's 0.001 rule would count as a success
        # a failure that the attack counted as a success, by its gradient program's logits
        "revoked": "bool",
        "invalid": "bool",  # neither success nor failure: a logit or gradient was NaN or infinite
        "zero_gradient": "bool",  # a failure in which every gradient was zero everywhere
        "predicted": "int32",  # class of the adversarial image; -1 if its logits are not all finite
        "l0": "float32",  # this and the next four: NaN if the attempt failed
        "l1": "float32",
        "l2": "float32",
        "linf": "float32",
        "l2_per_pixel": "float32",  # l2 / (3 H W)
        "gradients": "int32",  # evaluations with gradient
        "forwards": "int32",  # evaluations of logits alone
        # ifgsm_search: the smallest successful eps; fgsm, ifgsm: the setting; else NaN
        "eps": "float32",
        "const": "float32",  # cw, ead: the best constant; else NaN
    },
    # One CLEVER score.
    "clever": {
        "model": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # -1 if untargeted
        "target_kind": "str",
        "norm": "str",  # the norm of the distance that the score bounds: 1, 2 or inf
        "margin": "float32",  # logit of the label minus logit of the target, at the image
        # NaN if a logit or gradient was NaN or infinite; infinite if all gradients are zero
        "score": "float32",
        "lipschitz": "float64",  # this and the next five: the fit; NaN if there is none
        "shape": "float64",
        "location": "float64",
        "scale": "float64",
        "ks": "float64",
        "p_value": "float64",
        "maxima": "list<float32>",  # the fitted maxima, one for each batch
    },
    # Another model's prediction for one adversarial image of a source model.
    "transfer": {
        "source": "str",
        "attack": "str",
        "setting": "str",
        "target_kind": "str",
        "image_id": "int64",
        "label": "int32",
        "target": "int32",  # of the attack; -1 if untargeted
        "model": "str",  # the other model
        # it classifies the clean image correctly, and is not invalid: rates are over these rows
        "attacked": "bool",
        "invalid": "bool",  # a logit of the adversarial image is NaN or infinite
        "clean_predicted": "int32",  # this and the next: -1 if a logit is NaN or infinite
        "predicted": "int32",
        "source_success": "bool",
        "success": "bool",  # a failed search's image is the clean one
        "top5": "bool",
        # as the study's code would log it: a failed search passes on no image
        "released_success": "bool",
        "released_top5": "bool",
    },
    # The pictures of the report.
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
        "size": "int32",  # S, pixels
        "clean": "list<float32>",  # this and the next: (S, S, 3) in [0, 1], flattened row by row
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
"""Kinds whose parts have further columns: the settings of the part's attack, which are bool, int,
float or str.
"""
ALSO_SETTINGS = ("eps",)
"""Columns of `KINDS` that hold a setting, for an attack with a parameter of this name."""
DEFAULTS = {"digest": ""}
"""Columns that rows may lack when they are written, with the values that are then written."""
_MAY_BE_MISSING = ("float32", "float64")  # a missing value is NaN; other types have none


def schema(kind: str) -> pa.Schema:
    """The columns of a kind of rows as Arrow's schema.

    Args:
        kind: one of `KINDS`.

    Returns:
        The schema.

    Raises:
        InputError: if the kind is unknown.
    """
    if kind not in KINDS:
        raise unknown("kind of rows", kind, KINDS)
    return pa.schema([(name, _ARROW[dtype]) for name, dtype in KINDS[kind].items()])


def fits(kind: str, columns: pa.Schema) -> bool:
    """Whether the columns of a part are those of a kind.

    Args:
        kind: the kind of rows.
        columns: the part's schema. Settings may follow the columns of the kind, if it has settings.

    Returns:
        True if they are.
    """
    expected = schema(kind)
    begin = pa.schema([columns.field(place) for place in range(min(len(expected), len(columns)))])
    return begin.equals(expected) and (kind in SETTINGS or len(columns) == len(expected))


def table(kind: str, rows: pd.DataFrame) -> pa.Table:
    """Convert rows to the columns and types of their kind.

    Args:
        kind: the kind of rows.
        rows: columns in any order.

    Returns:
        A table of Arrow.

    Raises:
        InputError: if a column is missing, unknown, or has values of another type.
    """
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
                f"{kind} column {name!r} is not of type {dtype} ({said(error)}); convert it"
            ) from error
        if array.null_count and dtype not in _MAY_BE_MISSING:
            raise InputError(
                f"{kind} column {name!r} lacks {array.null_count} values; each row needs one: fill "
                "them in"
            )
        arrays.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    base = pa.Table.from_arrays(arrays, schema=columns)
    for name in extra:
        base = base.append_column(name, _setting(name, rows[name]))
    return base


def _setting(name: str, values: pd.Series) -> pa.Array:
    """A column of a setting. Raises InputError if its values are not bool, int, float or str."""
    array = pa.Array.from_pandas(values)
    kinds = {pa.bool_(), pa.int64(), pa.float64(), pa.string()}
    array = array.cast(pa.string()) if pa.types.is_large_string(array.type) else array
    if array.type not in kinds:
        raise InputError(
            f"the setting {name!r} has type {array.type}; bool, int, float and str are allowed: "
            "convert it"
        )
    return array
