"""Runs whose rows are valid, and as odd as rows can be."""

from pathlib import Path

import attempts
import numpy as np
import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.store.rows import KINDS
from jaxadv.store.run import Run

NAMES = ("vgg_16", "mine", "x" * 120, "名.1", "a.b_c")
ODD = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-38, 3e38, 0.5)
COUNTS = {"none": 0, "one": 1, "few": 7}


def write(directory: Path, seed: int) -> Run:
    """A run whose every kind of rows is missing, empty, single or a few, with numbers of every
    kind.
    """
    draw = np.random.default_rng(seed)
    run = Run.begin(directory)
    models = list(draw.permutation(NAMES)[: 1 + seed % 4])
    for number, model in enumerate(models):
        part = f"m{number}"
        for kind in ("clean", "clever", "transfer"):
            if draw.random() < 0.8:
                run.append(kind, _rows(draw, kind, model, models), part=part)
        for attack in draw.permutation(catalog.names())[:3]:
            if draw.random() < 0.8:
                rows = _rows(draw, "examples", model, models)
                run.append(
                    "examples",
                    rows.assign(attack=str(attack), **attempts.columns(str(attack))),
                    part=f"{part}-{attack}",
                )
        if draw.random() < 0.5:
            run.append("adversarial", _rows(draw, "adversarial", model, models)[:3], part=part)
    manifest = {"models": models if draw.random() < 0.7 else "?", "settings": {"data": "digits"}}
    run.write_manifest(run.manifest() | manifest)
    run.close()
    return run


def _rows(draw: np.random.Generator, kind: str, model: str, models: list[str]) -> pd.DataFrame:
    count = COUNTS[draw.choice(list(COUNTS))]
    style = draw.choice(["odd", "one value", "normal"])
    columns = {}
    for name, dtype in KINDS[kind].items():
        if dtype == "str":
            columns[name] = draw.choice(
                {"norm": ["1", "2", "inf", "7"], "target_kind": ["untargeted", "random"]}.get(
                    name, models
                ),
                count,
            )
        elif dtype == "bool":
            columns[name] = draw.random(count) < draw.choice([0, 0.5, 1])
        elif dtype.startswith("int"):
            columns[name] = draw.integers(-1, 4, count)
        elif dtype.startswith("float"):
            values = {
                "odd": draw.choice(ODD, count),
                "one value": np.full(count, draw.choice(ODD)),
                "normal": draw.lognormal(size=count),
            }
            columns[name] = values[style]
        else:
            size = 12 if kind == "adversarial" else draw.choice([0, 1, 5])
            lists = (
                draw.choice(ODD, (count, size)) if kind == "clever" else draw.random((count, size))
            )
            columns[name] = pd.Series(list(lists.astype(np.float32)), dtype=object)
    if kind == "adversarial":
        columns["size"] = 2
    columns |= {"setting": "eps=0.1"} if "setting" in columns else {}
    columns |= {"attack": "fgsm"} if "attack" in columns else {}
    return pd.DataFrame(columns).assign(**{"source" if kind == "transfer" else "model": model})
