"""AutoAttack: attacks one after the other, each on the images that those before left standing.

Croce & Hein 2020 (Linf, L2); Croce & Hein 2021 (L1).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxadv.attacks.apgd import APGD
from jaxadv.attacks.fab import FAB
from jaxadv.attacks.square import Square
from jaxadv.core.probe import AttackNeeds, AttackProbe, Schedule, Stage, needs_of
from jaxadv.support import checks

NORMS = (1, 2, np.inf)
VERSIONS = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "plus": ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
}
STAGES = ("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t", "square")
L1_TARGETS = 5
"""Classes of apgd-t at most in the standard version in L1."""
RESTARTS = 5
"""Of apgd-ce and apgd-dlr in L1, and of those and fab in the version plus."""


@dataclass(frozen=True)
class AutoAttack:
    """A sequence of attacks within distance eps of the image; a fixed budget.

    An image that a stage breaks takes part in no later one. Each stage is an attack with settings
    of its own, and runs by itself: `jaxadv.run_attack` and `jaxadv.evaluate` know how.

    Args:
        eps: radius of the ball, in pixel units of range 1.
        norm: of the ball: inf, 2 or 1.
        stages: "standard" (apgd-ce, apgd-t, fab-t, square), "plus" (apgd-ce, apgd-dlr, fab, square,
            apgd-t, fab-t), or stages joined by "+" in the order in which they run.
        steps: iterations of a run of APGD and of FAB.
        queries: iterations of Square.
        targets: runner-up classes that apgd-t and fab-t go through. In L1 the standard version's
            apgd-t takes 5 at most, as the reference does.
        many_classes: allow the stage fab, a gradient a class in each step, for more than 20.

    In L1, APGD has 5 starts and begins with larger budgets, as the reference's standard version.
    An image that stands keeps the clean one. The stage that broke an image is the detail
    "broken_by", an empty text if none did.
    """

    eps: float
    norm: float = np.inf
    stages: str = "standard"
    steps: int = 100
    queries: int = 5000
    targets: int = 9
    many_classes: bool = False

    @property
    def searches(self) -> bool:
        return False

    @property
    def names(self) -> tuple[str, ...]:
        """Of the stages, in order."""
        return VERSIONS.get(self.stages, tuple(self.stages.split("+")))

    @property
    def sequence(self) -> tuple[Stage, ...]:
        """The attacks, in order."""
        return tuple(Stage(name, self._probe(name)) for name in self.names)

    @property
    def needs(self) -> AttackNeeds:
        needs = [needs_of(stage.probe) for stage in self.sequence]
        few = [need.most_classes for need in needs if need.most_classes is not None]
        return AttackNeeds(
            draw=True,
            others=max(need.others for need in needs),
            classes=max(need.classes for need in needs),
            most_classes=min(few, default=None),
            untargeted=True,
        )

    @property
    def schedule(self) -> Schedule:
        """All evaluations of all stages: those of an image that stands."""
        phases = [phase for stage in self.sequence for phase in stage.probe.schedule.phases()]
        return Schedule((), tuple(phases), None, most=1)

    def check(self) -> None:
        """Raises InputError for settings out of range."""
        checks.number("eps", self.eps, low=0, above=True)
        checks.choice("norm", self.norm, NORMS)
        for name in ("steps", "queries", "targets"):
            checks.count(name, getattr(self, name))
        checks.choice("many_classes", self.many_classes, (True, False))
        unknown = [name for name in self.names if name not in STAGES]
        if unknown or len(set(self.names)) < len(self.names):
            raise checks.InputError(
                f"stages is {self.stages!r}; give standard, plus, or some of {', '.join(STAGES)}, "
                "each once, joined by '+'"
            )
        for stage in self.sequence:
            stage.probe.check()

    def _probe(self, name: str) -> AttackProbe[Any]:
        plus, in_l1 = self.stages == "plus", self.norm == 1
        restarts = RESTARTS if plus or in_l1 else 1
        if name in ("apgd-ce", "apgd-dlr"):
            loss = "cross_entropy" if name == "apgd-ce" else "dlr"
            return APGD(
                self.eps, self.norm, loss, self.steps, restarts, larger_first=in_l1 and not plus
            )
        if name == "apgd-t":
            fewer = min(self.targets, L1_TARGETS) if in_l1 and not plus else self.targets
            return APGD(
                self.eps,
                self.norm,
                "targeted_dlr",
                self.steps,
                targets=fewer,
                larger_first=in_l1 and not plus,
            )
        if name == "fab-t":
            return FAB(self.eps, self.norm, self.steps, self.targets)
        if name == "fab":
            return FAB(
                self.eps,
                self.norm,
                self.steps,
                restarts=restarts,
                all_classes=True,
                many_classes=self.many_classes,
            )
        return Square(self.eps, self.norm, self.queries, rescale=False)
