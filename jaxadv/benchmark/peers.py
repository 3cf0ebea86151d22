"""AutoAttack and searches for least distances beside torchattacks and adv_lib, in one run.

``python -m jaxadv.benchmark.peers`` attacks one small convolutional network, here and in PyTorch,
with the same weights, images and settings. It prints images per second, robust accuracy, distances
and evaluations per image. Packages that are not installed are left out.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from jax import lax

from jaxadv.api import run_attack
from jaxadv.attacks.autoattack import AutoAttack
from jaxadv.attacks.ddn import DDN
from jaxadv.attacks.fmn import FMN
from jaxadv.benchmark import bench
from jaxadv.core.classifier import Classifier
from jaxadv.support import log

SIZE, CLASSES = 32, 10
LAYERS = ((3, 16, 1), (16, 32, 2), (32, 32, 2))
"""Of each convolution of 3 x 3: channels before and after, and stride."""
FEATURES = 32 * (SIZE // 4) ** 2
Params = dict[str, np.ndarray]


class Scale(NamedTuple):
    """The amount of work."""

    images: int = 16
    eps: float = 2 / 255  # of AutoAttack in the infinity norm
    steps: int = 20  # of APGD and of FAB
    queries: int = 200  # of Square
    search_steps: int = 100  # of DDN and FMN


class Measured(NamedTuple):
    """What a tool has made of all images."""

    adversarial: np.ndarray  # (N, S, S, 3)
    gradients: float  # of an image, in the mean
    forwards: float


Work = Callable[[], Measured]


def weights(seed: int) -> Params:
    """Random weights of the network: convolutions (3, 3, I, O) and the last layer (F, K)."""
    random = np.random.default_rng(seed)
    shapes = {f"conv{n}": (3, 3, before, after) for n, (before, after, _) in enumerate(LAYERS)}
    drawn = {
        name: random.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        for name, shape in (shapes | {"dense": (FEATURES, CLASSES)}).items()
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def apply(params: Any, images: Any) -> Any:
    """(N, S, S, 3) -> logits (N, K)."""
    values = images - 0.5
    for number, (_, _, stride) in enumerate(LAYERS):
        values = lax.conv_general_dilated(
            values,
            params[f"conv{number}"],
            (stride, stride),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        values = jax.nn.relu(values)
    return values.reshape(len(images), -1) @ params["dense"]


def module(params: Params) -> Any:
    """The same network in PyTorch, which counts images with a gradient, and without."""
    torch: Any = importlib.import_module("torch")

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gradients = self.forwards = 0
            self.kernels = torch.nn.ParameterList(
                torch.nn.Parameter(
                    torch.tensor(params[f"conv{n}"].transpose(3, 2, 0, 1).copy()), False
                )
                for n in range(len(LAYERS))
            )
            self.dense = torch.nn.Parameter(torch.tensor(params["dense"]), False)

        def forward(self, images: Any) -> Any:
            asks = images.requires_grad and torch.is_grad_enabled()
            self.gradients += len(images) * asks
            self.forwards += len(images) * (not asks)
            values = images - 0.5
            for kernel, (_, _, stride) in zip(self.kernels, LAYERS, strict=True):
                values = torch.relu(
                    torch.nn.functional.conv2d(values, kernel, stride=stride, padding=1)
                )
            return values.permute(0, 2, 3, 1).flatten(1) @ self.dense

    return Network().eval()


def ours(clf: Classifier, attack: Any, images: np.ndarray, labels: np.ndarray) -> Measured:
    """One of this package's attacks."""
    result = run_attack(clf, attack, images, labels)
    return Measured(result.adversarial, result.gradients.mean(), result.forwards.mean())


def theirs(attack: Callable[..., Any], network: Any, images: np.ndarray, labels: Any) -> Measured:
    """An attack of PyTorch: a function of the network, images (N, 3, S, S) and labels."""
    torch: Any = importlib.import_module("torch")
    network.gradients = network.forwards = 0
    given = torch.tensor(images.transpose(0, 3, 1, 2).copy())
    made = attack(network, given, torch.tensor(labels.astype(np.int64)))
    adversarial = made.detach().numpy().transpose(0, 2, 3, 1)
    return Measured(adversarial, network.gradients / len(images), network.forwards / len(images))


def torchattacks_ensemble(package: Any, scale: Scale, network: Any, images: Any, labels: Any):
    """torchattacks' AutoAttack with the steps and queries of ``scale``."""
    attack = package.AutoAttack(network, norm="Linf", eps=scale.eps, n_classes=CLASSES, seed=0)
    for stage in attack._autoattack.attacks:
        if hasattr(stage, "n_queries"):
            stage.n_queries = scale.queries
        else:
            stage.steps = scale.steps
    return attack(images, labels)


def works(scale: Scale) -> tuple[Classifier, np.ndarray, dict[tuple[str, str], Work]]:
    """The network, the images, and what is measured, by attack and tool."""
    params = weights(0)
    clf = Classifier(apply, params, input_size=SIZE, num_classes=CLASSES, name="convolutions")
    images = np.random.default_rng(1).uniform(size=(scale.images, SIZE, SIZE, 3))
    images = images.astype(np.float32)
    labels = clf.predict(images)
    made = {
        "autoattack": AutoAttack(scale.eps, steps=scale.steps, queries=scale.queries),
        "fmn_linf": FMN(np.inf, scale.search_steps),
        "fmn_l2": FMN(2, scale.search_steps),
        "ddn": DDN(scale.search_steps, levels=0),
    }
    every: dict[tuple[str, str], Work] = {
        (name, "jaxadv"): partial(ours, clf, attack, images, labels)
        for name, attack in made.items()
    }
    network = module(params) if _imported("torch") else None
    if network is not None and (package := _imported("torchattacks")):
        attack = partial(torchattacks_ensemble, package, scale)
        every["autoattack", "torchattacks"] = partial(theirs, attack, network, images, labels)
    if network is not None and (package := _imported("adv_lib.attacks")):
        steps = {"steps": scale.search_steps}
        searches = {
            "fmn_linf": partial(package.fmn, norm=float("inf"), **steps),
            "fmn_l2": partial(package.fmn, norm=2, **steps),
            "ddn": partial(package.ddn, levels=None, **steps),
        }
        for name, attack in searches.items():
            every[name, "adv_lib"] = partial(theirs, attack, network, images, labels)
    return clf, images, every


def _imported(name: str) -> Any:
    """A package, or None with a word about why not."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # torchvision raises both
        log.warn(f"{name} cannot be imported and is left out ({error})")
        return None


def measure(scale: Scale) -> pd.DataFrame:
    """A row for each attack and tool. The first run of each, which may compile, is not timed."""
    clf, images, every = works(scale)
    labels = clf.predict(images)
    rows = []
    for (attack, tool), work in sorted(every.items()):
        work()
        began = time.perf_counter()
        done = work()
        seconds = time.perf_counter() - began
        robust = clf.predict(done.adversarial) == labels
        moved = (done.adversarial - images).reshape(len(images), -1)[~robust]
        norm = 2 if attack in ("ddn", "fmn_l2") else np.inf
        distances = np.linalg.norm(moved, norm, axis=1)
        rows.append(
            {
                "attack": attack,
                "tool": tool,
                "images_per_second": len(images) / seconds,
                "robust_percent": 100 * robust.mean(),
                "median_distance": np.median(distances) if len(distances) else np.nan,
                "gradients": done.gradients,
                "forwards": done.forwards,
            }
        )
    return pd.DataFrame(rows)


def main(arguments: Sequence[str]) -> None:
    """Print the table. arguments: flags such as --images=16, one for each field of `Scale`."""
    parser = argparse.ArgumentParser("python -m jaxadv.benchmark.peers")
    for name, value in Scale()._asdict().items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    print(bench.text(measure(Scale(**vars(parser.parse_args(arguments))))))


if __name__ == "__main__":
    main(sys.argv[1:])
