"""Entries of the attacks that people compare with since 2019: AutoAttack's four, and searches for
least distances.
"""

from dataclasses import replace
from typing import Any

from jaxadv.attacks.entry import Attack, Parameter, same
from jaxadv.support.norms import NORMS

EPS = 8 / 255
"""The budget in the infinity norm that is usual for CIFAR-10."""
WITH_L0 = {"l0": 0, **NORMS}
_DISTANCES = ("norm", same(WITH_L0))


def _flags(prefix: str, *parameters: Parameter) -> tuple[Parameter, ...]:
    """The parameters with flags that begin with the attack's name."""
    return tuple(replace(one, flag=f"{prefix}_{one.flag_name}") for one in parameters)


def _norm(
    default: str, *others: str, what: str = "whose least distance is looked for"
) -> Parameter:
    names = (default, *others)
    allowed = f"{', '.join(names[:-1])} or {names[-1]}"
    choices = {name: WITH_L0[name] for name in names}
    return Parameter(
        "norm", default, f"{what}: {allowed}", kind=str, label="unusual", choices=choices
    )


def _steps(default: int, help: str = "gradients in all") -> Parameter:
    return Parameter("steps", default, help, kind=int, title="steps")


def _switch(name: str, default: bool, help: str, **more: Any) -> Parameter:
    return Parameter(name, default, help, kind=bool, swept=False, **more)


_EPS = Parameter("eps", EPS, "budgets in pixel units of range 1", label="always", title="budget ε")
_RELEASED = _switch(
    "as_released", False, "as the reference's code, where it differs from the paper"
)

APGD = Attack(
    name="apgd",
    title="APGD",
    home="jaxadv.attacks.apgd:APGD",
    group="APGD",
    parameters=_flags(
        "apgd",
        _EPS,
        _norm("linf", "l2", "l1", what="of the budget"),
        Parameter(
            "loss",
            "cross_entropy",
            "cross_entropy, dlr, or targeted_dlr: each of the runner-up classes in turn (APGD-T)",
            kind=str,
            label="unusual",
            choices=same(("cross_entropy", "dlr", "targeted_dlr")),
        ),
        _steps(100, "iterations of a run"),
        Parameter("restarts", 1, "random starts, for each class with targeted_dlr", kind=int),
        Parameter("targets", 9, "runner-up classes of targeted_dlr", "classes", int, swept=False),
        Parameter(
            "rho", 0.75, "share of steps that must have raised the loss, else they are halved"
        ),
        _switch("larger_first", False, "norm l1: begin with budgets of 3 and 2 eps"),
        _switch("stop_early", True, "end with the first iterate that fools"),
        _RELEASED,
    ),
    searches=False,
    distance="linf",
    distance_by=_DISTANCES,
    bench=lambda steps: {"eps": 1e-3, "steps": steps - 1, "stop_early": False},
    bench_also={"l2": {"norm": 2}},
    hands_on_failures=True,
)
FAB = Attack(
    name="fab",
    title="FAB",
    home="jaxadv.attacks.fab:FAB",
    group="FAB",
    parameters=_flags(
        "fab",
        Parameter(
            "eps", 0.0, "a budget that ends the search; 0: the least distance", label="unusual"
        ),
        _norm("linf", "l2", "l1"),
        _steps(100, "iterations of a run, each a gradient and a pass of the logits"),
        Parameter("targets", 9, "runner-up classes, each with a run", "classes", int, swept=False),
        Parameter("restarts", 1, "runs for each class, the first from the image", kind=int),
        Parameter("alpha_max", 0.1, "largest weight of the step from the clean image"),
        Parameter("eta", 1.05, "overshoot of both steps"),
        Parameter("beta", 0.9, "share of the distance that is kept after a success"),
        _switch(
            "all_classes",
            False,
            "step to the nearest of all boundaries, at a gradient a class",
            label="unusual",
        ),
        _switch("many_classes", False, "allow all_classes for more than 20 classes"),
    ),
    searches=True,
    distance="linf",
    distance_by=_DISTANCES,
    budget="eps",
    bench=lambda steps: {"steps": max(1, steps // 2), "targets": 1},
    hands_on_failures=True,
)
SQUARE = Attack(
    name="square",
    title="Square",
    home="jaxadv.attacks.square:Square",
    group="Square",
    parameters=_flags(
        "square",
        _EPS,
        _norm("linf", "l2", "l1", what="of the budget"),
        Parameter("queries", 5000, "iterations at most, each a pass of the logits", kind=int),
        Parameter("p_init", 0.8, "share of the pixels that the first windows cover"),
        _switch("rescale", True, "stretch the schedule of 10,000 iterations to these"),
    ),
    searches=False,
    distance="linf",
    distance_by=_DISTANCES,
    bench=lambda steps: {"eps": 1e-3, "queries": steps - 1},
    hands_on_failures=True,
)
DDN = Attack(
    name="ddn",
    title="DDN",
    home="jaxadv.attacks.ddn:DDN",
    group="DDN",
    parameters=_flags(
        "ddn",
        _steps(100),
        Parameter("gamma", 0.05, "relative change of the radius in a step"),
        Parameter("initial_norm", 1.0, "the first radius"),
        Parameter("levels", 256, "levels that pixels are rounded to; 0: they are not", kind=int),
    ),
    searches=True,
    distance="l2",
    bench=lambda steps: {"steps": steps},
    hands_on_failures=True,
)
FMN = Attack(
    name="fmn",
    title="FMN",
    home="jaxadv.attacks.fmn:FMN",
    group="FMN",
    parameters=_flags(
        "fmn",
        _norm("l2", "linf", "l1", "l0"),
        _steps(100),
        Parameter("initial_step", 1.0, "L2 length of the first step"),
        Parameter("final_step", 0.01, "of the last"),
        Parameter("initial_gamma", 0.05, "relative change of the radius at first"),
        Parameter("final_gamma", 0.001, "at the end"),
        _RELEASED,
    ),
    searches=True,
    distance="l2",
    distance_by=_DISTANCES,
    bench=lambda steps: {"steps": steps},
    bench_also={"linf": {"norm": float("inf")}},
    hands_on_failures=True,
)
PDPGD = Attack(
    name="pdpgd",
    title="PDPGD",
    home="jaxadv.attacks.pdpgd:PDPGD",
    group="PDPGD",
    parameters=_flags(
        "pdpgd",
        _norm("l2", "linf", "l1", "l0"),
        _steps(500),
        Parameter("learning_rate", 0.1, "of Adam at first"),
        Parameter("initial_ratio", 0.01, "the distance's weight over the constraint's at first"),
        _switch(
            "proximal", True, "without it PDGD, which takes the gradient of the distance; l2 alone"
        ),
    ),
    searches=True,
    distance="l2",
    distance_by=_DISTANCES,
    bench=lambda steps: {"steps": steps},
    hands_on_failures=True,
)
ALMA = Attack(
    name="alma",
    title="ALMA",
    home="jaxadv.attacks.alma:ALMA",
    group="ALMA",
    parameters=_flags(
        "alma",
        _norm("l2", "l1"),
        _steps(1000),
        Parameter("learning_rate", 0.1, "of the steps until the first success"),
        Parameter("initial_multiplier", 1.0, "mu at first"),
        Parameter("initial_penalty", 1.0, "rho at first"),
        Parameter("check_steps", 10, "steps between two looks at the penalty", kind=int),
        Parameter("tau", 0.95, "share below which the ratio must fall, or the penalty grows"),
        Parameter("gamma", 1.2, "factor by which the penalty grows"),
        Parameter("alpha", 0.9, "weight of the past in averages"),
        _RELEASED,
    ),
    searches=True,
    distance="l2",
    distance_by=_DISTANCES,
    bench=lambda steps: {"steps": steps},
    hands_on_failures=True,
)
AUTOATTACK = Attack(
    name="autoattack",
    title="AutoAttack",
    home="jaxadv.attacks.autoattack:AutoAttack",
    group="AutoAttack",
    parameters=_flags(
        "autoattack",
        _EPS,
        _norm("linf", "l2", "l1", what="of the budget"),
        Parameter(
            "stages",
            "standard",
            "standard, plus, or attacks joined by '+' in their order: "
            "apgd-ce, apgd-dlr, apgd-t, fab, fab-t, square",
            kind=str,
            label="unusual",
        ),
        _steps(100, "of a run of APGD and of FAB"),
        Parameter("queries", 5000, "of Square", kind=int),
        Parameter(
            "targets", 9, "classes that apgd-t and fab-t go through", "classes", int, swept=False
        ),
        _switch("many_classes", False, "allow the stage fab for more than 20 classes"),
    ),
    searches=False,
    distance="linf",
    distance_by=_DISTANCES,
    bench=None,
    notes=("broken_by",),
    hands_on_failures=True,
)
MODERN = (APGD, FAB, SQUARE, DDN, FMN, PDPGD, ALMA, AUTOATTACK)
