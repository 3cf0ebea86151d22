"""The same attacks in other packages, on the networks of `jaxadv.benchmark.peer_networks`.

Each attack ends with a judgement of its images by the network. A package that makes none is given
one.
"""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxadv.api import clever_scores, run_attack
from jaxadv.attacks.autoattack import AutoAttack
from jaxadv.attacks.carlini_wagner import CarliniWagnerL2
from jaxadv.attacks.ddn import DDN
from jaxadv.attacks.elastic_net import ElasticNetL1
from jaxadv.attacks.fgsm import FGSM, IFGSM
from jaxadv.attacks.fmn import FMN
from jaxadv.core.classifier import Classifier


class Scale(NamedTuple):
    """The amount of work, and settings that all packages share."""

    eps: float = 4 / 255  # of FGSM and I-FGSM
    steps: int = 10  # of I-FGSM
    consts: int = 3  # of C&W and EAD
    const_steps: int = 50  # iterations for each
    const: float = 1.0  # the first
    learning_rate: float = 0.01  # of C&W and EAD
    beta: float = 0.01  # of EAD
    ensemble_eps: float = 2 / 255  # of AutoAttack
    ensemble_steps: int = 20  # of APGD and FAB
    queries: int = 200  # of Square
    search_steps: int = 100  # of DDN and FMN
    batches: int = 10  # of CLEVER
    samples: int = 64
    radius: float = 5.0
    scored_images: int = 4


class Task(NamedTuple):
    """A network here and in PyTorch, with its images."""

    clf: Classifier
    module: Any  # None where PyTorch is missing
    images: np.ndarray  # (N, S, S, 3) float32
    labels: np.ndarray  # (N,) int32, the network's classes
    scale: Scale


class Done(NamedTuple):
    """What one run of an attack gave."""

    adversarial: np.ndarray | None  # (N, S, S, 3); None for scores
    scores: np.ndarray | None  # one for each scored image
    gradients: float  # evaluations of an image with gradient, in the mean
    forwards: float  # and without


Works = dict[str, Callable[[], Done]]
"""The attacks of a package, by name."""


def here(task: Task) -> Works:
    """This package's attacks."""
    scale = task.scale
    consts = {"steps": scale.const_steps, "search_steps": scale.consts, "abort_early": False}
    consts |= {"learning_rate": scale.learning_rate, "initial_const": scale.const}
    attacks = {
        "fgsm": FGSM(scale.eps, loss="cross_entropy"),
        "ifgsm": IFGSM(eps=scale.eps, steps=scale.steps, loss="cross_entropy"),
        "cw": CarliniWagnerL2(**consts, warm_start=False),
        "ead": ElasticNetL1(**consts, beta=scale.beta, rule="elastic_net"),
        "autoattack": AutoAttack(
            scale.ensemble_eps, steps=scale.ensemble_steps, queries=scale.queries
        ),
        "ddn": DDN(scale.search_steps, levels=0),
        "fmn_l2": FMN(2, scale.search_steps),
        "fmn_linf": FMN(np.inf, scale.search_steps),
    }

    def attacked(attack: Any) -> Done:
        result = run_attack(task.clf, attack, task.images, task.labels)
        return Done(result.adversarial, None, result.gradients.mean(), result.forwards.mean())

    def scored() -> Done:
        found = clever_scores(
            task.clf,
            *_scored(task),
            norms=(2,),
            batches=scale.batches,
            samples=scale.samples,
            radius=scale.radius,
            protocol="paper",
        )
        return Done(None, found.score.reshape(-1), scale.batches * scale.samples, 1)

    works: Works = {name: partial(attacked, attack) for name, attack in attacks.items()}
    return works | {"clever": scored}


def pytorch(task: Task) -> Works:
    """FGSM and I-FGSM as one writes them in PyTorch."""
    torch: Any = importlib.import_module("torch")
    scale = task.scale

    def iterated(steps: int, network: Any, images: Any, labels: Any) -> Any:
        point = images
        for _ in range(steps):
            leaf = point.detach().requires_grad_()
            loss = torch.nn.functional.cross_entropy(network(leaf), labels)
            (slope,) = torch.autograd.grad(loss, leaf)
            point = (leaf + scale.eps / steps * slope.sign()).clamp(0, 1)
            point = torch.minimum(torch.maximum(point, images - scale.eps), images + scale.eps)
        return point.detach()

    return {
        "fgsm": _judged(task, partial(iterated, 1)),
        "ifgsm": _judged(task, partial(iterated, scale.steps)),
    }


def torchattacks(task: Task) -> Works:
    """torchattacks has no search for the constants of C&W."""
    package: Any = importlib.import_module("torchattacks")
    scale = task.scale

    def ensemble(network: Any, images: Any, labels: Any) -> Any:
        attack = package.AutoAttack(
            network, norm="Linf", eps=scale.ensemble_eps, n_classes=task.clf.num_classes, seed=0
        )
        for stage in attack._autoattack.attacks:
            if hasattr(stage, "n_queries"):
                stage.n_queries = scale.queries
            else:
                stage.steps = scale.ensemble_steps
        return attack(images, labels)

    def fast(network: Any, images: Any, labels: Any) -> Any:
        return package.FGSM(network, eps=scale.eps)(images, labels)

    def iterated(network: Any, images: Any, labels: Any) -> Any:
        step = scale.eps / scale.steps
        return package.BIM(network, scale.eps, step, scale.steps)(images, labels)

    attacks = {"fgsm": fast, "ifgsm": iterated, "autoattack": ensemble}
    return {name: _judged(task, attack) for name, attack in attacks.items()}


def adv_lib(task: Task) -> Works:
    """The reference of DDN and FMN."""
    package: Any = importlib.import_module("adv_lib.attacks")
    steps = {"steps": task.scale.search_steps}
    attacks = {
        "fmn_linf": partial(package.fmn, norm=float("inf"), **steps),
        "fmn_l2": partial(package.fmn, norm=2, **steps),
        "ddn": partial(package.ddn, levels=None, **steps),
    }
    return {name: _judged(task, attack) for name, attack in attacks.items()}


def foolbox(task: Task) -> Works:
    """Foolbox on PyTorch. It judges its images itself."""
    package: Any = importlib.import_module("foolbox")
    model = package.PyTorchModel(task.module, bounds=(0, 1), device="cpu")
    images, labels = _tensors(task)

    def run(attack: Callable[..., Any]) -> Done:
        task.module.gradients = task.module.forwards = 0
        return _counted(task, attack(images, labels))

    return _with_foolbox(package, task.scale, model, run)


def foolbox_jax(task: Task) -> Works:
    """Foolbox on JAX. Its evaluations are those of Foolbox on PyTorch. They are not counted."""
    package: Any = importlib.import_module("foolbox")

    def logits(images: Any) -> Any:
        return task.clf.oracle.apply(task.clf.params, images)

    model = package.JAXModel(logits, bounds=(0, 1))
    images, labels = jnp.asarray(task.images), jnp.asarray(task.labels)

    def run(attack: Callable[..., Any]) -> Done:
        return Done(np.asarray(attack(images, labels)), None, np.nan, np.nan)

    return _with_foolbox(package, task.scale, model, run)


def _with_foolbox(
    package: Any, scale: Scale, model: Any, run: Callable[[Callable[..., Any]], Done]
) -> Works:
    """Foolbox's attacks on a model. ``run`` gets a function of images and labels."""

    def attacked(attack: Any, eps: float | None, images: Any, labels: Any) -> Any:
        criterion = package.criteria.Misclassification(labels)
        return attack(model, images, criterion, epsilons=eps)[1]

    return {
        name: partial(run, partial(attacked, *each))
        for name, each in _of_foolbox(package, scale).items()
    }


def _of_foolbox(package: Any, scale: Scale) -> dict[str, tuple[Any, float | None]]:
    """Its attacks, and the eps of each."""
    attacks = package.attacks
    consts = {"binary_search_steps": scale.consts, "steps": scale.const_steps}
    consts |= {"initial_const": scale.const, "abort_early": False}
    return {
        "fgsm": (attacks.LinfFastGradientAttack(random_start=False), scale.eps),
        "ifgsm": (
            attacks.LinfBasicIterativeAttack(
                abs_stepsize=scale.eps / scale.steps, steps=scale.steps, random_start=False
            ),
            scale.eps,
        ),
        "cw": (attacks.L2CarliniWagnerAttack(stepsize=scale.learning_rate, **consts), None),
        "ead": (
            attacks.EADAttack(
                initial_stepsize=scale.learning_rate, regularization=scale.beta, **consts
            ),
            None,
        ),
    }


def art(task: Task) -> Works:
    """The Adversarial Robustness Toolbox on PyTorch."""
    evasion: Any = importlib.import_module("art.attacks.evasion")
    estimators: Any = importlib.import_module("art.estimators.classification")
    metrics: Any = importlib.import_module("art.metrics")
    torch: Any = importlib.import_module("torch")
    scale = task.scale
    images = task.images.transpose(0, 3, 1, 2)
    model = estimators.PyTorchClassifier(
        task.module,
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=images.shape[1:],
        nb_classes=task.clf.num_classes,
        clip_values=(0, 1),
        device_type="cpu",
    )
    common = {"batch_size": len(images)}
    consts = {"learning_rate": scale.learning_rate, "initial_const": scale.const, "verbose": False}
    consts |= {"binary_search_steps": scale.consts, "max_iter": scale.const_steps}
    step = scale.eps / scale.steps
    attacks = {
        "fgsm": evasion.FastGradientMethod(model, eps=scale.eps, **common),
        "ifgsm": evasion.BasicIterativeMethod(
            model, eps=scale.eps, eps_step=step, max_iter=scale.steps, verbose=False, **common
        ),
        "cw": evasion.CarliniL2Method(model, **consts, **common),
        "ead": evasion.ElasticNet(model, beta=scale.beta, decision_rule="EN", **consts, **common),
    }

    def run(attack: Any, _: Any, images: Any, labels: Any) -> Any:
        return torch.tensor(attack.generate(images.numpy(), labels.numpy()))

    def scored() -> Done:
        task.module.gradients = task.module.forwards = 0
        given, _, targets = _scored(task)
        scores = [
            metrics.clever_t(
                model, image, int(target), scale.batches, scale.samples, scale.radius, norm=2
            )
            for image, target in zip(given.transpose(0, 3, 1, 2), targets, strict=True)
        ]
        return _counted(task, None, len(scores))._replace(scores=np.array(scores))

    works = {name: _judged(task, partial(run, attack)) for name, attack in attacks.items()}
    return works | {"clever": scored}


def _scored(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images that CLEVER scores, their classes, and a target for each."""
    some = slice(task.scale.scored_images)
    return task.images[some], task.labels[some], (task.labels[some] + 1) % task.clf.num_classes


def _tensors(task: Task) -> tuple[Any, Any]:
    """Images (N, 3, S, S) and labels of PyTorch."""
    torch: Any = importlib.import_module("torch")
    images = torch.tensor(task.images.transpose(0, 3, 1, 2).copy())
    return images, torch.tensor(task.labels.astype(np.int64))


def _judged(task: Task, attack: Callable[..., Any]) -> Callable[[], Done]:
    """An attack of PyTorch, with a judgement: a function of the network, images and labels."""
    torch: Any = importlib.import_module("torch")
    images, labels = _tensors(task)

    def run() -> Done:
        task.module.gradients = task.module.forwards = 0
        made = attack(task.module, images, labels).detach()
        with torch.no_grad():
            (task.module(made).argmax(1) != labels).numpy()
        return _counted(task, made)

    return run


def _counted(task: Task, made: Any, count: int | None = None) -> Done:
    """The images of PyTorch, and how often its network was evaluated for each of ``count``."""
    count = count or len(task.images)
    images = None if made is None else made.detach().numpy().transpose(0, 2, 3, 1)
    return Done(images, None, task.module.gradients / count, task.module.forwards / count)


class Peer(NamedTuple):
    """A package: what it needs, and its attacks."""

    package: str
    attacks: Callable[[Task], Works]
    install: str = "'jaxadv[peers]'"


PEERS = {
    "pytorch": Peer("torch", pytorch),
    "foolbox": Peer("foolbox", foolbox),
    "foolbox_jax": Peer("foolbox", foolbox_jax),
    "torchattacks": Peer("torchattacks", torchattacks),
    "art": Peer("art", art),
    "adv_lib": Peer("adv_lib.attacks", adv_lib, "adv-lib"),
}
"""All that `jaxadv bench --peers` knows."""
