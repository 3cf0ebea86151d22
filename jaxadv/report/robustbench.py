"""What RobustBench keeps of a model, as JSON: one file a model, norm and budget of AutoAttack.

Its entries are clean_acc and autoattack_acc in percent, and eps. What a run does not know, such as
who trained the model, is null. "evaluation" is ours: what was run, on how many images, by whom an
image was broken.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxadv.report.names import file_name
from jaxadv.report.views import Views
from jaxadv.store.identity import plain
from jaxadv.support.files import write_atomically

NORMS = {"linf": "Linf", "l2": "L2", "l1": "L1"}
"""What RobustBench calls them."""
UNKNOWN = ("link", "authors", "additional_data", "venue", "reported")


def write(
    views: Views, directory: Path, *, claim: Callable[[list[Path]], None] | None = None
) -> list[Path]:
    """Write DIRECTORY/DATA/NORM/MODEL.json; returns the files.

    Args:
        views: of a run.
        directory: where to.
        claim: called with all files before the first is written; raises InputError where one may
            not be.
    """
    files: dict[Path, dict[str, Any]] = {}
    for data, norm, name, content in entries(views):
        folder = directory / (file_name(data, ()) or "data") / norm
        taken = [path.stem for path in files if path.parent == folder]
        files[folder / f"{file_name(name, taken)}.json"] = content
    if claim:
        claim(list(files))
    for path, content in files.items():
        write_atomically(path, (json.dumps(plain(content), indent=2) + "\n").encode())
    return list(files)


def entries(views: Views) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(data, norm, model, what its file holds) of each line of AutoAttack."""
    settings = views.manifest.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    data = str(settings.get("data") or "unknown").rpartition("/")[2]
    rows = views.robust.robust_accuracy
    budgets = rows[rows["attack"] == "autoattack"]
    several = budgets.groupby(["model", "norm"])["setting"].transform("size") > 1
    for row, named in zip(budgets.to_dict("records"), several, strict=True):
        values = views.made.settings.values("autoattack", row["setting"])
        name = f"{row['model']}_{row['setting']}" if named else row["model"]
        content = {
            **dict.fromkeys(UNKNOWN),
            "name": row["model"],
            "architecture": row["model"],
            "number_forward_passes": 1,
            "dataset": data,
            "eps": as_text(row["eps"]),
            "clean_acc": _percent(row["correct"], row["images"]),
            "autoattack_acc": _percent(row["robust"], row["images"]),
            "unreliable": bool(_broken_by_square(row["broken_by"])),
            "evaluation": {
                "threat_model": {
                    "norm": NORMS.get(row["norm"], row["norm"]),
                    "eps": row["eps"],
                    "pixels": "RGB in [0, 1]; adversarial images lie in the box",
                    "knowledge": "white box: weights and gradients of the deterministic network",
                    "aim": "untargeted: any class but the label",
                },
                "attack": "AutoAttack, jaxadv's own implementation",
                "settings": dict(values),
                "seed": settings.get("seed"),
                "selection": settings.get("selection"),
                "images": row["images"],
                "interval_95": [
                    _percent(row[f"robust_accuracy_{end}"], 1) for end in ("low", "high")
                ],
                "broken_by": row["broken_by"],
                "gradients_mean": row["gradients_mean"],
                "forwards_mean": row["forwards_mean"],
                "versions": views.manifest.get("versions"),
            },
        }
        norm = str(row["norm"])
        yield data, NORMS.get(norm, norm), str(name), content


def as_text(eps: float) -> str:
    """A budget as people write it: 8/255 where it is one of these.

    >>> as_text(0.03137255), as_text(0.5)
    ('8/255', '0.5')
    """
    levels = round(eps * 255) if math.isfinite(eps) else 0
    if levels and abs(eps - levels / 255) < 1e-7 and float(f"{eps:.3g}") != eps:
        return f"{levels}/255"
    return f"{eps:.6g}"


def _percent(count: float, images: float) -> str | None:
    """With two decimals, as text, as RobustBench has it."""
    return f"{100 * count / images:.2f}" if images else None


def _broken_by_square(told: str) -> bool:
    """Whether Square broke what attacks with gradients did not: those are then not to be
    trusted.
    """
    return any(part.startswith("square ") for part in told.split(", "))
