"""The settings of made-up attempts, as columns of their rows."""

from typing import Any

import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run


def columns(attack: str, **values: Any) -> dict[str, Any]:
    """Every parameter of an attack; those that are not given have their defaults. "eps" is the
    rows' own column.
    """
    plain = {one.name: one.default for one in catalog.get(attack).parameters}
    assert set(values) <= set(plain)
    return {name: value for name, value in (plain | values).items() if name != "eps"}


def append(run: Run, rows: pd.DataFrame, model: str) -> None:
    """Attempts of one model, a part an attack as in a run."""
    for attack, rows_of_attack in rows.groupby("attack", sort=False):
        run.append("examples", own(rows_of_attack), part=f"{model}-{attack}")


def own(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one attack without the columns that others have, and with its integers as such."""
    names = [name for name in rows if name in KINDS["examples"] or rows[name].notna().all()]
    return rows[names].astype(
        {name: "int64" for name in names if name in ("steps", "attempts", "search_steps")}
    )
