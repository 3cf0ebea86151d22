"""A job: settings, networks and data together, for the units of work."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxadv.data.loader import Pictures
from jaxadv.data.pictures import Reading
from jaxadv.data.selection import select
from jaxadv.data.source import Source
from jaxadv.evaluation.settings import CLEVER, Attempt, Settings
from jaxadv.support import places


@dataclass(frozen=True)
class Job:
    """The work of an evaluation."""

    settings: Settings  # with its number of lanes
    models: list[str]
    ensembles: dict[str, list[str]]  # name -> members
    source: Source
    chosen: np.ndarray  # indices into the source
    attempts: list[Attempt]

    @property
    def has_study_targets(self) -> bool:
        """Whether random targets are those of the study, since its images were selected."""
        selection = self.settings.selection
        return selection in ("study", "clever100") or (
            selection == "common" and self.source.validation
        )

    def pictures(self, size: int, chosen: np.ndarray | None = None) -> Pictures:
        """Pictures of the data at one size.

        Args:
            size: height and width, pixels.
            chosen: indices into the source; None for the whole selection.

        Returns:
            The pictures, read when they are needed.
        """
        settings = self.settings
        return Pictures(
            self.source,
            self.chosen if chosen is None else chosen,
            size=size,
            reading=Reading(settings.preprocessing, settings.not_rgb),
            cache=places.place("data_cache", settings.data_cache) if settings.data_cache else None,
            threads=settings.data_threads,
        )

    @property
    def attacks(self) -> list[str]:
        """The names of the attacks, each once."""
        return list(dict.fromkeys(attempt.attack for attempt in self.attempts))

    @cached_property
    def evaluations(self) -> dict[str, tuple[int, int]]:
        """The largest number of evaluations of one image: with gradient, and of logits alone.

        The keys are the attacks, with all their settings and kinds of target, and "clever".
        """
        found: dict[str, tuple[int, int]] = {}
        for attempt in self.attempts:
            gradients, forwards = attempt.probe.schedule.evaluations()
            before = found.get(attempt.attack, (0, 0))
            found[attempt.attack] = (before[0] + gradients, before[1] + forwards)
        if self.clever_kinds:
            clever = self.settings.clever
            found[CLEVER] = (self.clever_targets * clever.batches * clever.samples, 0)
        return found

    @property
    def clever_targets(self) -> int:
        """The number of targets of one image that CLEVER scores."""
        classes = self.source.num_classes
        return sum(classes - 1 if kind == "untargeted" else 1 for kind in self.clever_kinds)

    @property
    def clever_kinds(self) -> tuple[str, ...]:
        """The kinds of target that CLEVER scores; none without the part "clever"."""
        return self.settings.kinds(CLEVER) if CLEVER in self.settings.parts else ()


def job(
    settings: Settings, models: list[str], ensembles: dict[str, list[str]], source: Source
) -> Job:
    """Make a job.

    Args:
        settings: attacks and further settings.
        models: names of all networks, with ensembles.
        ensembles: name -> members.
        source: the data.

    Returns:
        The job, with the selected images.

    Raises:
        InputError: if a setting is wrong, or if it does not fit the data.
    """
    settings.check()
    Reading(settings.preprocessing, settings.not_rgb).check()
    return Job(
        settings=settings,
        models=models,
        ensembles=ensembles,
        source=source,
        chosen=select(
            source,
            settings.selection,
            count=settings.num_images,
            seed=settings.seed,
            study_seed=settings.study_seed,
        ),
        attempts=settings.attempts(),
    )
