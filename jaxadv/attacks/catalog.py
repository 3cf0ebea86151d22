"""The attacks, one entry each: what all other rooms know of an attack comes from here.

An attack is added by its file and its entry. Flags, plan, columns of rows, tables, figures, page
and bench read the entry. The study's attacks are listed here, those of later years in
`jaxadv.attacks.modern`. This module imports no JAX.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxadv.attacks.entry import Attack as Attack
from jaxadv.attacks.entry import Parameter as Parameter
from jaxadv.attacks.entry import same
from jaxadv.attacks.modern import MODERN
from jaxadv.support.norms import NORMS
from model_ports.errors import InputError, unknown

_GRADIENT, _HINGE = "FGSM and I-FGSM", "C&W and EAD-L1"
_EPS = Parameter(
    "eps",
    0.1,
    "budgets in pixel units of range 1",
    sweep=(0.1, 0.2, 0.3),
    label="always",
    title="budget ε",
)
_LOSS = Parameter(
    "loss",
    "logit",
    "logit, as the study ran it, or cross_entropy",
    kind=str,
    label="unusual",
    choices=same(("logit", "cross_entropy")),
)
_NORM = Parameter(
    "norm",
    "linf",
    "of steps and budgets of all three: linf, as the study ran it, l2 or l1",
    flag="fgsm_norm",
    kind=str,
    label="unusual",
    choices=NORMS,
)
_BY_NORM = ("norm", same(NORMS))
_CONFIDENCE = Parameter(
    "confidence", 0.0, "kappa of both, in logit units", label="always", title="confidence κ"
)


def _search(prefix: str, learning_rate: float) -> tuple[Parameter, ...]:
    """What C&W and EAD share: the search for the constant c."""
    return (
        Parameter(
            "steps", 1000, "iterations for each constant c", f"{prefix}_steps", int, swept=False
        ),
        Parameter(
            "search_steps",
            9,
            "constants that the binary search tries",
            f"{prefix}_search_steps",
            int,
            swept=False,
        ),
        Parameter(
            "learning_rate", learning_rate, "as effectively released", f"{prefix}_learning_rate"
        ),
        Parameter("initial_const", 0.01, "the first c", f"{prefix}_initial_const"),
        Parameter(
            "abort_early",
            True,
            "end a c whose loss has stalled",
            f"{prefix}_abort_early",
            bool,
            swept=False,
        ),
    )


STUDIED: tuple[Attack, ...] = (
    Attack(
        name="fgsm",
        title="FGSM",
        home="jaxadv.attacks.fgsm:FGSM",
        group=_GRADIENT,
        parameters=(_EPS, _NORM, _LOSS),
        searches=False,
        distance="linf",
        distance_by=_BY_NORM,
        bench=lambda steps: {"eps": 0.1},
        is_default=True,
        hands_on_failures=True,
    ),
    Attack(
        name="ifgsm",
        title="I-FGSM",
        home="jaxadv.attacks.fgsm:IFGSM",
        group=_GRADIENT,
        parameters=(
            _EPS,
            Parameter("steps", 10, "iterations of I-FGSM", kind=int, label="always", title="steps"),
            _NORM,
            _LOSS,
        ),
        searches=False,
        distance="linf",
        distance_by=_BY_NORM,
        bench=lambda steps: {"eps": 0.1, "steps": steps},
        is_default=True,
    ),
    Attack(
        name="ifgsm_search",
        title="I-FGSM, smallest ε",
        home="jaxadv.attacks.fgsm:IFGSM",
        group=_GRADIENT,
        parameters=(
            Parameter(
                "initial_eps",
                0.02,
                "where the search for the smallest eps starts",
                label="always",
                title="first ε",
            ),
            Parameter("attempts", 9, "values of eps that the search tries", kind=int, swept=False),
            Parameter(
                "steps",
                50,
                "iterations of I-FGSM for each of them",
                "search_steps",
                int,
                swept=False,
            ),
            _NORM,
            _LOSS,
        ),
        searches=True,
        distance="linf",
        distance_by=_BY_NORM,
        bench=lambda steps: {"initial_eps": 0.02, "attempts": 2, "steps": max(1, steps // 2)},
        is_default=True,
    ),
    Attack(
        name="cw",
        title="C&W L2",
        home="jaxadv.attacks.carlini_wagner:CarliniWagnerL2",
        group=_HINGE,
        parameters=(
            _CONFIDENCE,
            *_search("cw", 0.002),
            Parameter(
                "warm_start",
                True,
                "keep the perturbation from one c to the next, as released",
                "cw_warm_start",
                bool,
                swept=False,
            ),
        ),
        searches=True,
        distance="l2",
        bench=lambda steps: {"steps": steps, "search_steps": 1, "abort_early": False},
        is_default=True,
    ),
    Attack(
        name="ead",
        title="EAD-L1",
        home="jaxadv.attacks.elastic_net:ElasticNetL1",
        group=_HINGE,
        parameters=(
            _CONFIDENCE,
            Parameter("beta", 1e-3, "weight of the L1 term and shrinkage threshold", "ead_beta"),
            Parameter(
                "rule",
                "l1",
                "which success wins: least l1, as the study ran it, or least elastic_net",
                "ead_rule",
                str,
                label="unusual",
                choices=same(("l1", "elastic_net")),
            ),
            *_search("ead", 0.01),
        ),
        searches=True,
        distance="l1",
        distance_by=("rule", {"elastic_net": "l2"}),  # L2 squared is by far the larger part
        bench=lambda steps: {"steps": steps, "search_steps": 1, "abort_early": False},
        is_default=True,
    ),
)


ATTACKS: tuple[Attack, ...] = (*STUDIED, *MODERN)


def names() -> tuple[str, ...]:
    """The names of all attacks, in the order of tables."""
    return tuple(attack.name for attack in ATTACKS)


ELSEWHERE = {
    "pgd": ("ifgsm", "I-FGSM is PGD without a random start"),
    "bim": ("ifgsm", "BIM is another name of I-FGSM"),
    "mifgsm": ("ifgsm", "I-FGSM without momentum is what the study ran"),
    "ifgm": ("ifgsm", "I-FGSM with --fgsm_norm=l2 takes steps along the gradient"),
    "carliniwagner": ("cw", "C&W in L2"),
    "carliniwagnerl2": ("cw", "C&W in L2"),
    "cwl2": ("cw", "C&W in L2"),
    "elasticnet": ("ead", "EAD with the L1 rule"),
    "eadl1": ("ead", "EAD with the L1 rule"),
    "autopgd": ("apgd", "Auto-PGD"),
    "apgdce": ("apgd", "with --apgd_loss=cross_entropy"),
    "apgddlr": ("apgd", "with --apgd_loss=dlr"),
    "apgdt": ("apgd", "with --apgd_loss=targeted_dlr"),
    "fabt": ("fab", "which goes through classes unless --fab_all_classes is given"),
    "squareattack": ("square", "Square"),
    "pdgd": ("pdpgd", "with --nopdpgd_proximal"),
    "aa": ("autoattack", "AutoAttack"),
}
"""What other tools call an attack: its name here, and a word about it."""


def get(name: str) -> Attack:
    """The entry of that name. Raises InputError."""
    for attack in ATTACKS:
        if attack.name == name:
            return attack
    known = ELSEWHERE.get("".join(filter(str.isalnum, name.lower())))
    if known:
        raise InputError(
            f"unknown attack {name!r}; here it is {known[0]!r} ({known[1]}); known: "
            f"{', '.join(names())}"
        )
    raise unknown("attack", name, names())


def find(name: str) -> Attack | None:
    """The entry of that name; None for an attack that this version does not have."""
    return next((attack for attack in ATTACKS if attack.name == name), None)


def entry_of(probe: Any) -> Attack | None:
    """The entry that a probe is of; None for anything that is no probe of the catalogue."""
    return next((attack for attack in ATTACKS if attack.matches(probe)), None)


def check(probe: Any) -> Attack:
    """The entry of a probe whose settings are in range. Raises InputError."""
    entry = entry_of(probe)
    if entry is None:
        allowed = ", ".join(dict.fromkeys(attack.home.partition(":")[2] for attack in ATTACKS))
        raise InputError(
            f"attack is {probe!r}; it must be one of {allowed} with its settings, such as "
            "FGSM(eps=0.1)"
        )
    probe.check()
    return entry


def title(name: str) -> str:
    """What tables call an attack, or "clever"; the name itself of one that is not known."""
    attack = find(name)
    return attack.title if attack else "CLEVER" if name == "clever" else name


def labels(attack: Attack, settings: list[dict[str, Any]]) -> list[str]:
    """A label for each setting of one attack, such as "eps=0.1,steps=10"; different ones have
    different labels.

    Args:
        attack: their entry.
        settings: the plain values of each, all different.
    """
    return [
        ",".join(f"{name}={text}" for name, text in told.items())
        for told in named(attack.name, settings)
    ]


def named(attack: str, settings: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What a label of each setting names, and its value as text.

    Args:
        attack: their attack; of one that is not in the catalogue, what has several values is named.
        settings: the plain values of each.

    A label names what is always named, what is not as usual, and what has several values here.
    """
    entry = find(attack)
    every = dict.fromkeys(name for setting in settings for name in setting)
    told: list[dict[str, str]] = [{} for _ in settings]
    for parameter in entry.parameters if entry else [Parameter(name, None, "") for name in every]:
        values = list(
            dict.fromkeys(
                setting[parameter.name] for setting in settings if parameter.name in setting
            )
        )
        texts = _texts(values)
        for setting, names in zip(settings, told, strict=True):
            value = setting.get(parameter.name)
            is_named = parameter.label == "always" or (
                value != parameter.default if parameter.label == "unusual" else len(values) > 1
            )
            if value is not None and is_named:
                names[parameter.name] = texts[value]
    return told


def _texts(values: list[Any]) -> dict[Any, str]:
    """Six digits of each number, or all of them where six would make two alike."""
    short = {value: f"{value:g}" if isinstance(value, float) else str(value) for value in values}
    if len(set(short.values())) == len(values):
        return short
    return {value: repr(value) for value in values}
