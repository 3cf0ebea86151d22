"""Reads the recordings in golden/attacks: two small nets as classifiers, and settings as attacks.

A group has all recorded settings of one structure, such as "cw_short". Each of its fields has one
row per setting. Our run of a group is one queue. Runs are cached, so that several tests can use
one.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

import jaxadv
from jaxadv.api import AttackResult, run_attacks
from jaxadv.core import metrics

GOLDEN = Path(__file__).parent / "golden" / "attacks"
LANES = 32
NETS = ("tiny", "smooth")
KINDS = ("untargeted", "random", "least", "top2")


@functools.cache
def arrays(file: str) -> dict[str, np.ndarray]:
    """All arrays of golden/attacks/``file``."""
    with np.load(GOLDEN / file) as stored:
        return {name: stored[name] for name in stored.files}


class RecordedNet(NamedTuple):
    """A recorded net with the pictures that it was attacked on."""

    classifier: jaxadv.Classifier
    images: np.ndarray  # (16, 32, 32, 3) float32 in [0, 1]
    labels: np.ndarray  # (16,) int32
    targets: dict[str, np.ndarray]  # kind -> (16,) int32
    logits: np.ndarray  # (16, 10) float32, recorded


def tiny_apply(params, images):
    """Three convolutions with relu, mean over the picture, one dense layer; images (N, 32, 32, 3)
    -> (N, 10).
    """
    x = images - 0.5
    for layer, stride in (("conv1", 1), ("conv2", 2), ("conv3", 2)):
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(
            x, params[layer + "_w"], (stride, stride), "SAME", dimension_numbers=dimensions
        )
        x = jax.nn.relu(x + params[layer + "_b"].reshape(1, 1, 1, -1))
    return x.mean((1, 2)) @ params["dense_w"] + params["dense_b"].reshape(1, -1)


def smooth_apply(params, images):
    """One matrix without bias."""
    return (images - 0.5).reshape(images.shape[0], -1) @ params["w"]


@functools.cache
def net(name: str) -> RecordedNet:
    """One of NETS."""
    stored = {
        key.removeprefix(name + "__"): value
        for key, value in arrays("nets.npz").items()
        if key.startswith(name)
    }
    levels = stored.pop("images").astype(np.float32) / 16
    images = np.repeat(np.repeat(np.repeat(levels[..., None], 4, axis=1), 4, axis=2), 3, axis=3)
    labels, logits = stored.pop("y"), stored.pop("logits")
    targets = {kind: stored.pop(kind) for kind in KINDS if kind != "untargeted"} | {
        "untargeted": labels
    }
    apply = {"tiny": tiny_apply, "smooth": smooth_apply}[name]
    classifier = jaxadv.Classifier(apply, stored, input_size=32, num_classes=10, name=name)
    return RecordedNet(classifier, images, labels, targets, logits)


@functools.cache
def group(name: str, net_name: str) -> dict[str, np.ndarray]:
    """The recorded fields of a group, each with a row per setting; "settings" are their names."""
    prefix = f"{name}__{net_name}__"
    return {
        key.removeprefix(prefix): value
        for key, value in arrays("attacks.npz").items()
        if key.startswith(prefix)
    }


def attack_of(name: str, setting: str):
    """The kind of target and the attack that a recorded setting stands for."""
    parts = setting.split("__")
    if name.startswith(("fgsm", "ifgsm")):
        kind, loss, rest = parts
        loss = {"logit": "logit", "xent": "cross_entropy"}[loss]
        if name == "fgsm":
            return kind, jaxadv.FGSM(eps=float(rest.removeprefix("eps")), loss=loss)
        numbers = rest.split("_")
        eps, steps = float(numbers[1].removeprefix("eps")), int(numbers[-1].removeprefix("N"))
        if numbers[0] == "fixed":
            return kind, jaxadv.IFGSM(eps=eps, steps=steps, loss=loss)
        return kind, jaxadv.IFGSM(
            initial_eps=eps, attempts=int(numbers[2].removeprefix("att")), steps=steps, loss=loss
        )
    length, kind, confidence, *rate = parts
    search_steps, steps = (9, 1000) if length == "long" else (3, 100)
    shared = {
        "confidence": float(confidence.removeprefix("k")),
        "steps": steps,
        "search_steps": search_steps,
        "initial_const": 1.0 if length == "shortc1" else 0.01,
    }
    if name.startswith("cw"):
        return kind, jaxadv.CarliniWagnerL2(
            learning_rate=float(rate[0].removeprefix("lr")), **shared
        )
    return kind, jaxadv.ElasticNetL1(learning_rate=0.01, beta=1e-3, **shared)


class Run(NamedTuple):
    """Our run of a group's settings, arrays (settings, images, ...), beside the recorded fields of
    the same settings.
    """

    result: AttackResult
    distances: dict[str, np.ndarray]  # l0, l1, l2, linf of every picture, failed or not
    recorded: dict[str, np.ndarray]


@functools.cache
def run(
    name: str, net_name: str, settings: tuple[str, ...] | None = None, lanes: int = LANES
) -> Run:
    """Our run of a group, or of some of its settings, as one queue."""
    recorded = group(name, net_name)
    if settings is not None:
        rows = [list(recorded["settings"]).index(setting) for setting in settings]
        recorded = {field: values[rows] for field, values in recorded.items()}
    known = net(net_name)
    count = recorded["success"].shape[1]
    attacks, classes, targeted = [], [], []
    for setting in recorded["settings"]:
        kind, attack = attack_of(name, str(setting))
        attacks += [attack] * count
        classes += list(known.targets[kind][:count])
        targeted += [kind != "untargeted"] * count
    images = np.tile(known.images[:count], (len(recorded["settings"]), 1, 1, 1))
    flat = run_attacks(
        known.classifier, attacks, images, np.array(classes), np.array(targeted), lanes=lanes
    )
    distances = metrics.distances(flat.adversarial, images)
    shape = (len(recorded["settings"]), count)
    return Run(
        *jax.tree.map(lambda values: values.reshape(*shape, *values.shape[1:]), (flat, distances)),
        recorded,
    )


def difference(values, recorded) -> np.ndarray:
    """Relative difference; 0 where both are NaN or equal, infinite where only one is NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(values - recorded) / np.abs(recorded)
    relative = np.where(np.isnan(relative), np.inf, relative)
    return np.where((values == recorded) | (np.isnan(values) & np.isnan(recorded)), 0.0, relative)
