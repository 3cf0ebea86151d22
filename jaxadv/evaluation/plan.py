"""A job: settings, networks and data together, as the units of work need them."""

from dataclasses import dataclass

import numpy as np

from jaxadv.data.loader import Pictures
from jaxadv.data.pictures import Reading
from jaxadv.data.selection import select
from jaxadv.data.source import Source
from jaxadv.evaluation.settings import CLEVER, Attempt, Settings
from jaxadv.support import places


@dataclass(frozen=True)
class Job:
    """All that an evaluation has to do."""

    settings: Settings  # its lanes are known
    models: list[str]
    ensembles: dict[str, list[str]]  # their members by name
    source: Source
    chosen: np.ndarray  # indices into the source
    attempts: list[Attempt]

    @property
    def has_study_targets(self) -> bool:
        """Whether random targets are the study's own: its images were selected."""
        selection = self.settings.selection
        return selection in ("study", "clever100") or (
            selection == "common" and self.source.validation
        )

    def pictures(self, size: int, chosen: np.ndarray | None = None) -> Pictures:
        """All of the selection, or the ``chosen`` indices, at ``size`` pixels."""
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
        return list(dict.fromkeys(attempt.attack for attempt in self.attempts))

    @property
    def clever_kinds(self) -> tuple[str, ...]:
        """The kinds of target that are scored; none without the part "clever"."""
        return self.settings.kinds(CLEVER) if CLEVER in self.settings.parts else ()


def job(
    settings: Settings, models: list[str], ensembles: dict[str, list[str]], source: Source
) -> Job:
    """Settings, networks and data as one job. Raises InputError."""
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
