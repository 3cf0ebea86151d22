"""A made-up run of 6 models and 24 images, regular enough to work out its tables by hand.

Model number m (0..5) has the first 24 - m images right. Attempts are on images 0..11, which all
models have right:
  fgsm, eps=0.05 and eps=0.3, untargeted: image i succeeds if i % 4 < 1 (0.05) or < 3 (0.3); linf is
  eps, failures have no distance ifgsm_search, random: all succeed cw, confidence=0, untargeted and
  random: i % 4 == 3 fails; l2 = (m + 1) / 10 * (1, 2, 3) for i % 4 = 0, 1, 2 ead, confidence=10,
  least: nothing succeeds; image 0 is a near tie
Transfer (fgsm 0.3 and cw, untargeted; cw, random) from each model to each other; the model shown
the images has image 11 wrong when its number is odd, and is fooled by images 0 and 3 and, if its
number is below the source's, 1.
"""

import numpy as np
import pandas as pd
import pytest
from report import attempts

import jaxadv
from jaxadv.evaluation.settings import Settings
from jaxadv.report.views import Views, views
from jaxadv.store.run import Run

MODELS = [
    "alexnet",
    "vgg_16",
    "resnet_v2_50",
    "mobilenet_v1_025",
    "mobilenet_v1_050",
    "mobilenet_v1_100",
]
IMAGES = 24
ATTACKED = 12
# attack, a parameter and its value, target kind, number of i % 4 that succeed
ATTEMPTS = [
    ("fgsm", ("eps", 0.3), "untargeted", 3),
    ("fgsm", ("eps", 0.05), "untargeted", 1),
    ("ifgsm_search", ("initial_eps", 0.02), "random", 4),
    ("cw", ("confidence", 0.0), "random", 3),
    ("cw", ("confidence", 0.0), "untargeted", 3),
    ("ead", ("confidence", 10.0), "least", 0),
]
SHOWN = [
    ("cw", "confidence=0", "untargeted"),
    ("cw", "confidence=0", "random"),
    ("fgsm", "eps=0.3", "untargeted"),
]
MANIFEST = {
    "models": MODELS,
    "settings": {"zoo": "digits", "data": "digits"}
    | Settings(
        attacks=(
            *(jaxadv.FGSM(eps=eps) for eps in (0.3, 0.05)),
            jaxadv.IFGSM(initial_eps=0.02, attempts=9, steps=50),
            jaxadv.CarliniWagnerL2(),
            jaxadv.ElasticNetL1(confidence=10.0),
        ),
        num_images=IMAGES,
    ).to_dict(),
    "weights": {name: {"file": "embedded", "test_accuracy": 0.97} for name in MODELS},
    "devices": ["TFRT_CPU_0"],
    "versions": {"python": "3.11.2", "jax": "0.10.2"},
    "seconds": 61.5,
}


def clean_rows(m: int) -> pd.DataFrame:
    image = np.arange(IMAGES)
    right = image < IMAGES - m
    label = image % 10
    return pd.DataFrame(
        {
            "model": MODELS[m],
            "image_id": image,
            "label": label,
            "predicted": np.where(right, label, (label + 1) % 10),
            "top5": right | (image == IMAGES - 1),
            "invalid": False,
        }
    )


def example_rows(
    m: int, attack: str, parameter: tuple[str, float], kind: str, successes: int
) -> pd.DataFrame:
    image = np.arange(ATTACKED)
    label, step = image % 10, image % 4
    success = step < successes
    l2 = np.where(success, (m + 1) / 10 * (step + 1), np.nan)
    name, value = parameter
    fixed = value if attack == "fgsm" else np.nan
    target = np.full(ATTACKED, -1) if kind == "untargeted" else (label + 3) % 10
    return pd.DataFrame(
        {
            "model": MODELS[m],
            "attack": attack,
            "setting": f"{name}={value:g}",
            "target_kind": kind,
            "image_id": image,
            "label": label,
            "target": target,
            "success": success,
            "near_tie": (image == 0) & (attack == "ead"),
            "revoked": False,
            "invalid": False,
            "zero_gradient": False,
            "predicted": np.where(success, np.where(target < 0, (label + 1) % 10, target), label),
            "l0": np.where(success, 1000.0 + 100 * step, np.nan),
            "l1": 10 * l2,
            "l2": l2,
            "linf": np.where(success, fixed if attack == "fgsm" else l2 / 10, np.nan),
            "l2_per_pixel": l2 / 3072,
            "gradients": 1 if attack == "fgsm" else 100 + 10 * step,
            "forwards": 1 if attack == "fgsm" else 9,
            "eps": fixed,
            "const": 0.01 * (step + 1) if attack in ("cw", "ead") else np.nan,
            **attempts.columns(attack, **{name: value}),
        }
    )


def clever_rows(m: int, norm: str) -> pd.DataFrame:
    image = np.arange(8)
    fitted = image != 5
    score = (image + 1.0) * (m + 1) / {"1": 1, "2": 10, "inf": 1000}[norm]
    return pd.DataFrame(
        {
            "model": MODELS[m],
            "image_id": image,
            "label": image,
            "target": (image + 3) % 10,
            "target_kind": "random",
            "norm": norm,
            "margin": 5.0,
            "score": score,
            "lipschitz": 5.0 / score,
            **{
                name: np.where(fitted, 2.0, np.nan) for name in ("shape", "location", "scale", "ks")
            },
            "p_value": np.where(fitted, 0.1 * (image + 1), np.nan),
            "maxima": [[1.0, 2.0, 3.0]] * 8,
        }
    )


def transfer_rows(source: int, model: int, attack: str, setting: str, kind: str) -> pd.DataFrame:
    image = np.arange(ATTACKED)
    label = image % 10
    own = image % 4 < 3
    fooled = np.isin(image, [0, 3, *([1] if model < source else [])])
    has_image = own | (attack == "fgsm")
    attacked = ~((image == 11) & (model % 2 == 1))
    targeted = kind != "untargeted"
    return pd.DataFrame(
        {
            "source": MODELS[source],
            "attack": attack,
            "setting": setting,
            "target_kind": kind,
            "image_id": image,
            "label": label,
            "target": (label + 3) % 10 if targeted else -1,
            "model": MODELS[model],
            "attacked": attacked,
            "invalid": False,
            "clean_predicted": np.where(attacked, label, 0),
            "predicted": np.where(fooled, (label + 3) % 10, label),
            "source_success": own,
            "success": fooled,
            "top5": fooled | (image == 4) if targeted else fooled,
            "released_success": np.where(has_image, fooled, not targeted),
            "released_top5": np.where(
                has_image, fooled | (image == 4) if targeted else fooled, not targeted
            ),
        }
    )


def fill(run: Run, models=range(6)) -> Run:
    for (
        m
    ) in models:  # parts are read by name, so out of order on purpose: tables follow the manifest
        part = MODELS[m]
        run.append("clean", clean_rows(m), part=part)
        attempts.append(run, pd.concat([example_rows(m, *attempt) for attempt in ATTEMPTS]), part)
        run.append(
            "clever", pd.concat([clever_rows(m, norm) for norm in ("inf", "2", "1")]), part=part
        )
        run.append(
            "transfer",
            pd.concat(
                [transfer_rows(m, other, *how) for other in models if other != m for how in SHOWN]
            ),
            part=part,
        )
    run.write_manifest(run.manifest() | MANIFEST)
    return run


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory) -> Run:
    return fill(Run.begin(tmp_path_factory.mktemp("runs") / "eps=0.1"))


@pytest.fixture(scope="session")
def synthetic_views(synthetic_run) -> Views:
    return views(synthetic_run)
