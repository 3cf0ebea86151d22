"""What a manifest tells of networks that came from other libraries."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def _facts(manifest: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A fact of the networks that have it, by name."""
    weights = manifest.get("weights")
    known = weights.items() if isinstance(weights, dict) else ()
    return {name: facts[key] for name, facts in known if isinstance(facts, dict) and key in facts}


def full_names(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The names that their libraries give to networks, by the names of their rows."""
    return {name: str(full) for name, full in _facts(manifest, "full_name").items()}


def with_published(accuracy: pd.DataFrame, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The table of accuracy with what the libraries publish beside it, where any does."""
    percents = {}
    for name, stated in _facts(manifest, "published").items():
        percent = stated.get("top1_percent") if isinstance(stated, dict) else None
        if isinstance(percent, (int, float)):
            percents[name] = float(percent)
    if not set(percents) & set(accuracy["model"]):
        return accuracy
    place = accuracy.columns.get_loc("top1_percent")
    assert isinstance(place, int)
    table = accuracy.copy()
    table.insert(place + 1, "published_top1_percent", table["model"].map(percents))
    return table


def other_pictures(manifest: Mapping[str, Any]) -> str:
    """A sentence on networks that were made for another crop than the run's; empty where none
    was.
    """
    settings = manifest.get("settings")
    used = settings.get("preprocessing") if isinstance(settings, dict) else None
    has_margin = used == "resize-256-crop"
    asked = []
    for name, pictures in _facts(manifest, "pictures").items():
        if not isinstance(pictures, dict):
            continue
        crop, how = pictures.get("crop"), pictures.get("interpolation")
        fits = has_margin and how == "bilinear" and crop and abs(crop - 0.875) < 0.001
        if not fits and (crop or how):
            asked.append(f"{name} ({how or 'any interpolation'}, {100 * (crop or 1):.3g} %)")
    if not asked or used is None:
        return ""
    return (
        f"Pictures were made by --preprocessing={used}. Some networks were made for others "
        f"(interpolation, share of the side that is kept): {', '.join(asked)}. Their accuracy may "
        "differ for it."
    )
