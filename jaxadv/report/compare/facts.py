"""What runs were: the settings, data, weights and versions that differ, and which models each of
them has.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

_BESIDE = ("data", "commit", "machine", "devices", "versions")
"""Entries of a manifest that say what a run was, beside its identity."""
_LONG = 120  # characters of a value that a table shows
MISSING = "–"


def settings(manifests: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each fact that the runs do not share: its name, and its value in each run.

    manifests: by the names of the runs.
    """
    known = {name: _facts(manifest) for name, manifest in manifests.items()}
    every = dict.fromkeys(fact for facts in known.values() for fact in facts)
    records = []
    for fact in every:
        values = [facts.get(fact) for facts in known.values()]
        if any(value != values[0] for value in values):
            records.append([fact, *map(_text, values)])
    return pd.DataFrame(records, columns=["fact", *known], dtype=object)


def models(names: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """A row for each model: which runs have it. names: of the models, by run."""
    every = dict.fromkeys(model for of_run in names.values() for model in of_run)
    columns = {
        run: ["yes" if model in of_run else "" for model in every] for run, of_run in names.items()
    }
    return pd.DataFrame({"model": list(every), **columns}, dtype=object)


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that a run was, one level deep: the identity, else the settings, and what stands
    beside.
    """
    chief = manifest.get("identity") or manifest.get("settings")
    found = dict(chief) if isinstance(chief, Mapping) else {}
    for name in _BESIDE:
        value = manifest.get(name)
        if isinstance(value, Mapping):
            found |= {f"{name} {key}": item for key, item in value.items()}
        elif value is not None:
            found[name] = value
    return found


def _text(value: Any) -> str:
    if value is None:
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
