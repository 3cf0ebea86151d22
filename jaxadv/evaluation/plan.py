"""From flags to what is to be attacked how: names, ranges and lists, checked before anything runs."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from jaxadv.attacks import FGSM, IFGSM, CarliniWagnerL2, ElasticNetL1
from jaxadv.attacks.elastic_net import RULES
from jaxadv.core import targets
from jaxadv.data.loader import Pictures
from jaxadv.data.pictures import Reading
from jaxadv.data.selection import select
from jaxadv.data.source import Source
from jaxadv.data.sources import open_source
from jaxadv.support import checks
from model_ports.errors import InputError, unknown

PARTS = ("attacks", "transfer", "clever", "report")
ATTACKS = ("fgsm", "ifgsm", "ifgsm_search", "cw", "ead")
NORMS = {"linf": np.inf, "l2": 2, "l1": 1}
_USUAL = {"norm": "linf", "rule": "l1", "loss": "logit"}
"""Choices that a setting's label says where they are others."""


class Setting(NamedTuple):
    """One attack with one setting and one kind of target."""

    attack: str  # its name on the command line and in tables
    label: str  # "eps=0.1": the main parameter, and whatever else is swept
    target_kind: str
    probe: Any


class Job(NamedTuple):
    """All that an evaluation has to do."""

    models: list[str]
    parts: list[str]
    settings: list[Setting]
    clever_kinds: list[str]
    clever: dict[str, Any]  # of clever_scores: batches, samples, radius, protocol, method
    reading: Reading
    data_cache: Path | None
    data_threads: int | None
    attacked_images: int | None
    clever_images: int | None
    lanes: int
    block_images: int
    seed: int
    progress: bool
    save_seconds: float
    save_adversarial: bool
    selection: str
    source: Source
    chosen: np.ndarray  # indices into the source
    ensembles: dict[str, list[str]]  # their members by name

    def shown_to(self, name: str) -> list[str]:
        """The networks that see the adversarial images of ``name``: all others, but no ensemble, and no member of one its images."""
        hidden = {name, *self.ensembles, *self.ensembles.get(name, ())}
        return [other for other in self.models if other not in hidden]

    @property
    def has_study_targets(self) -> bool:
        """Whether random targets are the study's own: its images were selected."""
        return self.selection in ("study", "clever100") or (self.selection == "common" and self.source.validation)

    def pictures(self, size: int, chosen: np.ndarray | None = None) -> Pictures:
        """All of the selection, or the ``chosen`` indices."""
        chosen = self.chosen if chosen is None else chosen
        return Pictures(self.source, chosen, size=size, reading=self.reading, cache=self.data_cache, threads=self.data_threads)

    @property
    def attacks(self) -> list[str]:
        return list(dict.fromkeys(setting.attack for setting in self.settings))


def job(flags: SimpleNamespace, names: list[str]) -> Job:
    """What the flags ask for. names: of the networks. Raises InputError."""
    parts = chosen("parts", flags.parts, PARTS)
    if "transfer" in parts and "attacks" not in parts:
        raise InputError("--parts has transfer without attacks; transfer shows the attacks' images to the others: add attacks")
    settings = attack_settings(flags) if "attacks" in parts else []
    clever_kinds = []
    if "clever" in parts:
        check_clever(flags)
        clever_kinds = target_kinds(flags, "clever")
    checks.number("save_seconds", flags.save_seconds, low=0)
    as_given = ("attacked_images", "clever_images", "lanes", "block_images", "seed")
    as_given += ("progress", "save_seconds", "save_adversarial", "selection")
    reading = Reading(flags.preprocessing, flags.not_rgb)
    reading.check()
    source = open_source(flags.data)
    return Job(
        source=source,
        chosen=select(source, flags.selection, count=flags.num_images, seed=flags.seed),
        reading=reading,
        data_cache=Path(flags.data_cache) if flags.data_cache else None,
        data_threads=flags.data_threads,
        models=names,
        ensembles=ensembles(flags.ensembles),
        parts=parts,
        settings=settings,
        clever_kinds=clever_kinds,
        clever={name: getattr(flags, f"clever_{name}") for name in ("batches", "samples", "radius", "protocol", "method")},
        **{name: getattr(flags, name) for name in as_given},
    )


def chosen(name: str, values: list[str] | None, allowed: tuple[str, ...]) -> list[str]:
    """A list-valued flag whose entries are names, without repeats. Raises InputError for an unknown or missing one."""
    values = list(dict.fromkeys(value.strip() for value in values or [] if value.strip()))
    if not values:
        raise InputError(f"--{name} is empty; give some of {', '.join(allowed)}")
    for value in values:
        if value not in allowed:
            raise unknown(name.rstrip("s").replace("_", " "), value, allowed)
    return values


def models(values: list[str], known: tuple[str, ...]) -> list[str]:
    """The networks that --models names; "all" is every one."""
    return list(known) if values == ["all"] else chosen("models", values, known)


def ensembles(values: list[str] | None) -> dict[str, list[str]]:
    """The members of each ensemble by its name: {"ensemble.a.b": ["a", "b"]} of ["a+b"]. Raises InputError for fewer than two."""
    found = {}
    for value in values or []:
        members = [member.strip() for member in value.split("+")]
        if len(set(members)) < max(2, len(members)) or not all(members):
            raise InputError(f"--ensembles has {value!r}; two or more different networks joined by '+' are needed, such as vgg_16+alexnet")
        found[".".join(["ensemble", *members])] = members
    return found


def numbers(name: str, values: list[str], kind: type = float) -> list:
    """A list-valued flag whose entries are numbers. Raises InputError for anything else, or for none."""
    try:
        parsed = [kind(value) for value in values]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise InputError(f"--{name} is {','.join(values)!r}; {what} separated by commas are needed") from None
    if not parsed:
        raise InputError(f"--{name} is empty; give at least one number")
    return parsed


def attack_settings(flags: SimpleNamespace) -> list[Setting]:
    """Every attack, setting and kind of target that the flags ask for. Raises InputError."""
    makers = {"fgsm": _fgsm, "ifgsm": _ifgsm, "ifgsm_search": _ifgsm_search, "cw": _carlini_wagner, "ead": _elastic_net}
    settings = []
    for attack in chosen("attacks", flags.attacks, ATTACKS):
        for kind in target_kinds(flags, attack):
            settings += [Setting(attack, label, kind, probe) for label, probe in makers[attack](flags)]
    for setting in settings:
        setting.probe.check()
    return settings


def target_kinds(flags: SimpleNamespace, attack: str) -> list[str]:
    """The kinds of target of one attack, or of "clever"."""
    own = getattr(flags, f"{attack}_targets")
    return chosen("targets" if own is None else f"{attack}_targets", flags.targets if own is None else own, targets.KINDS)


def _sweep(main: tuple[str, ...], **lists: list):
    """Every combination, each with a label: the main parameters, those that are not as usual, and others that have several values."""
    for values in itertools.product(*lists.values()):
        pairs = dict(zip(lists, values, strict=True))
        told = {k: v for k, v in pairs.items() if k in main or (v != _USUAL[k] if k in _USUAL else len(lists[k]) > 1)}
        yield ",".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in told.items()), pairs


def _fgsm_sweep(flags, main: tuple[str, ...], **lists: list):
    """`_sweep` with what FGSM and I-FGSM share."""
    norms = chosen("fgsm_norm", flags.fgsm_norm, tuple(NORMS))
    for label, pairs in _sweep(main, **lists, norm=norms, loss=flags.loss):
        yield label, pairs | {"norm": NORMS[pairs["norm"]]}


def _fgsm(flags):
    for label, pairs in _fgsm_sweep(flags, ("eps",), eps=numbers("eps", flags.eps)):
        yield label, FGSM(**pairs)


def _ifgsm(flags):
    lists = {"eps": numbers("eps", flags.eps), "steps": numbers("steps", flags.steps, int)}
    for label, pairs in _fgsm_sweep(flags, ("eps", "steps"), **lists):
        yield label, IFGSM(**pairs)


def _ifgsm_search(flags):
    for label, pairs in _fgsm_sweep(flags, ("initial_eps",), initial_eps=numbers("initial_eps", flags.initial_eps)):
        yield label, IFGSM(**pairs, attempts=flags.attempts, steps=flags.search_steps)


def _carlini_wagner(flags):
    yield from _constant_search(
        flags, "cw", CarliniWagnerL2, fixed={"warm_start": flags.cw_warm_start}, confidence=numbers("confidence", flags.confidence)
    )


def _elastic_net(flags):
    lists = {"confidence": numbers("confidence", flags.confidence), "beta": numbers("ead_beta", flags.ead_beta)}
    lists["rule"] = chosen("ead_rule", flags.ead_rule, RULES)
    yield from _constant_search(flags, "ead", ElasticNetL1, fixed={}, **lists)


def _constant_search(flags, prefix: str, attack: type, *, fixed: dict, **lists: list):
    lists["learning_rate"] = numbers(f"{prefix}_learning_rate", getattr(flags, f"{prefix}_learning_rate"))
    lists["initial_const"] = numbers(f"{prefix}_initial_const", getattr(flags, f"{prefix}_initial_const"))
    fixed = fixed | {name: getattr(flags, f"{prefix}_{name}") for name in ("steps", "search_steps", "abort_early")}
    for label, pairs in _sweep(("confidence",), **lists):
        yield label, attack(**pairs, **fixed)


def check_clever(flags: SimpleNamespace) -> None:
    """The choices of CLEVER, of which the ranges are checked with the flags. Raises InputError."""
    from jaxadv.clever.sampler import PROTOCOLS, CleverSampler
    from jaxadv.clever.weibull import METHODS

    checks.choice("clever_protocol", flags.clever_protocol, tuple(PROTOCOLS))
    checks.choice("clever_method", flags.clever_method, METHODS)
    checks.count("clever_batches", flags.clever_batches, low=2)
    radius = PROTOCOLS[flags.clever_protocol] if flags.clever_radius is None else flags.clever_radius
    CleverSampler(radius=radius, samples=flags.clever_samples, protocol=flags.clever_protocol).check()
