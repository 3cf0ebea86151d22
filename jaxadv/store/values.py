"""The settings of attempts, read from the columns of their rows."""

from typing import Any

import numpy as np
import pyarrow as pa

from jaxadv.store.parts import Part
from jaxadv.store.rows import ALSO_SETTINGS, KINDS

Settings = dict[tuple[str, str], dict[str, Any]]
"""(attack, label) -> the value of each parameter by its name."""


def add(known: Settings, part: Part, rows: pa.Table) -> None:
    """Add the settings in a part of attempts to the known ones.

    Args:
        known: the settings so far; new ones are added to it.
        part: a part of rows of kind "examples".
        rows: the rows of this part, with at least the columns "attack" and "setting".
    """
    pairs = rows.group_by(["attack", "setting"]).aggregate([]).to_pylist()
    if all((pair["attack"], pair["setting"]) in known for pair in pairs):
        return
    names = part.file.schema_arrow.names
    settings = [name for name in names if name in ALSO_SETTINGS or name not in KINDS["examples"]]
    groups = part.rows(["attack", "setting", *settings]).group_by(
        ["attack", "setting"], use_threads=False
    )
    firsts = groups.aggregate([(name, "first") for name in settings]).rename_columns(
        {f"{name}_first": name for name in settings}
    )
    for row in firsts.to_pylist():
        how = (row.pop("attack"), row.pop("setting"))
        values = {
            name: _as_set(firsts.schema.field(name).type, value) for name, value in row.items()
        }
        known[how] = {
            name: value for name, value in values.items() if value is not None and value == value
        }


def _as_set(kind: pa.DataType, value: Any) -> Any:
    """The shortest number that rounds to a float32 value: 0.1, not 0.10000000149."""
    return float(str(np.float32(value))) if kind == pa.float32() and value is not None else value
