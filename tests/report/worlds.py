"""Runs made up so that the study's statements hold, or fail."""

import numpy as np
import pandas as pd
from report import attempts as made_up_attempts

from jaxadv.store.run import Run

# model: (error in per mille, mean distance) as the study has it, and otherwise: there it falls with
# the size alone
WORLDS = {
    "alexnet": ((430, 3.5), (430, 0.75)),
    "vgg_16": ((285, 2.70), (285, 0.40)),
    "vgg_19": ((289, 2.75), (289, 0.35)),
    "inception_v1": ((300, 1.5), (150, 1.60)),
    "inception_v3": ((220, 1.6), (220, 1.15)),
    "resnet_v2_50": ((244, 1.30), (244, 1.10)),
    "resnet_v2_101": ((230, 1.40), (230, 0.85)),
    "densenet121_k32": ((252, 0.90), (160, 1.62)),
    "densenet169_k32": ((238, 0.95), (238, 1.35)),
    "mobilenet_v1_050": ((400, 0.50), (170, 2.30)),
}
# attack and setting: success at random targets, factor of the distance, untargeted transfer; each
# (as studied, otherwise)
SETTINGS = {
    ("fgsm", "eps=0.3"): ((0.0, 0.5), 1, (0.6, 0.1)),
    ("ifgsm", "eps=0.1,steps=10"): ((0.8, 0.3), 1, (0.5, 0.2)),
    ("ifgsm", "eps=0.2,steps=10"): ((1.0, 0.3), 1, (0.7, 0.1)),
    ("ifgsm", "eps=0.2,steps=50"): ((1.0, 0.3), 1, (0.4, 0.2)),
    ("ifgsm_search", "initial_eps=0.02"): ((1.0, 0.7), 0.01, (0.2, 0.2)),
    ("cw", "confidence=0"): ((1.0, 0.7), 1, (0.1, 0.7)),
    ("cw", "confidence=20"): ((0.9, 0.8), (1.5, 0.8), (0.15, 0.6)),
    ("ead", "confidence=0"): ((1.0, 0.7), 10, (0.3, 0.5)),
    ("ead", "confidence=20"): ((0.9, 0.8), (15, 8), (0.38, 0.4)),
}
VALUES = {
    label: {
        name: float(value) if name != "steps" else int(value)
        for name, value in (part.split("=") for part in label.split(","))
    }
    for _, label in SETTINGS
}
FAMILIES = ("densenet", "resnet", "vgg")


def made_up(directory, *, otherwise: bool, images: int = 150, shown: int = 20, left_out=()) -> Run:
    """``otherwise``: everything against the study. left_out: (attack, setting) pairs."""
    draw, run, side = np.random.default_rng(0), Run.begin(directory), int(otherwise)
    image = np.arange(images)
    hardness = draw.lognormal(0, 0.1, images)
    for model, world in WORLDS.items():
        error, distance = world[side]
        every = np.arange(1000)
        clean = _rows(
            model=model,
            image_id=every,
            label=0,
            predicted=(every >= 1000 - error),
            top5=True,
            invalid=False,
        )
        run.append("clean", clean, part=model)
        attempts, pairs = [], []
        for (attack, setting), (rates, factor, transfer) in SETTINGS.items():
            if (attack, setting) in left_out:
                continue
            kinds = (
                ("random", "least")
                if attack == "ifgsm_search"
                else ("untargeted", "random", "least")[: 3 if attack == "cw" else 2]
            )
            for kind in kinds:
                success = image % 10 < 10 * (rates[side] if kind != "untargeted" else 1)
                factor = factor[side] if isinstance(factor, tuple) else factor
                value = np.where(
                    success, factor * distance * hardness * draw.lognormal(0, 0.02, images), np.nan
                )
                how = {
                    "model": model,
                    "attack": attack,
                    "setting": setting,
                    "target_kind": kind,
                    "image_id": image,
                    "label": 0,
                }
                how |= {
                    "target": -1 if kind == "untargeted" else 1,
                    "success": success,
                    "predicted": 1,
                }
                how |= dict.fromkeys(("near_tie", "revoked", "invalid", "zero_gradient"), False)
                how |= dict.fromkeys(("l0", "l1", "l2", "linf", "l2_per_pixel"), value)
                attempts.append(
                    _rows(
                        **how,
                        gradients=1,
                        forwards=1,
                        const=np.nan,
                        **setting_columns(attack, VALUES[setting]),
                    )
                )
                if kind != "least" and attack != "ifgsm_search":
                    pairs.append(
                        _shown(
                            how,
                            {
                                other: _rate(model, other, attack, transfer[side], kind, otherwise)
                                for other in WORLDS
                            },
                            shown,
                        )
                    )
        made_up_attempts.append(run, pd.concat(attempts), model)
        run.append("transfer", pd.concat(pairs), part=model)
        fit = dict.fromkeys(
            ("margin", "lipschitz", "shape", "location", "scale", "ks", "p_value"), 1.0
        )
        score = 0.5 * distance * hardness[:20]
        what = {
            "model": model,
            "image_id": image[:20],
            "label": 0,
            "target": 1,
            "target_kind": "random",
            "norm": "2",
            "score": score,
        }
        run.append("clever", _rows(**what, **fit).assign(maxima=[[1.0, 2.0]] * 20), part=model)
    run.write_manifest(run.manifest() | {"models": list(WORLDS), "settings": {"zoo": "imagenet"}})
    run.close()
    return run


def setting_columns(attack: str, values: dict) -> dict:
    """The columns of a setting, "eps" among them, whatever it means."""
    return {"eps": values.get("eps", np.nan), **made_up_attempts.columns(attack, **values)}


def _rows(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns)


def _rate(source, model, attack, rate, kind, otherwise) -> float:
    if otherwise:
        return rate * (0.5 if source.startswith("vgg") else 1)
    if kind == "random":
        return 0.1 * rate
    same = source.split("_")[0][:6] == model.split("_")[0][:6] and source.startswith(FAMILIES)
    return 1.0 if same and attack == "ifgsm" else rate * (1.4 if source.startswith("vgg") else 1)


def _shown(how: dict, rates: dict[str, float], shown: int) -> pd.DataFrame:
    """The images of one model and setting, shown to all others; the first of them fool."""
    others = [name for name in rates if name != how["model"]]
    image = np.tile(np.arange(shown), len(others))
    fooled = image < np.repeat([round(rates[name] * shown) for name in others], shown)
    columns = {
        name: how[name]
        for name in ("attack", "setting", "target_kind", "label", "target", "predicted")
    }
    columns |= dict.fromkeys(("success", "top5", "released_success", "released_top5"), fooled)
    columns |= {"source": how["model"], "model": np.repeat(others, shown), "image_id": image}
    return _rows(**columns, attacked=True, invalid=False, clean_predicted=0, source_success=True)
