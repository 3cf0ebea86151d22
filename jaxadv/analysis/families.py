"""Families of networks: which model belongs to which, and the colour and marker that each has in every figure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

INK = "#1c1f24"


class Look(NamedTuple):
    colour: str
    marker: str  # as matplotlib names it


# Colours that stay apart for the colour-blind (Okabe and Ito, "Color Universal Design", 2008; its yellow is too faint on
# white), black first; each family has a marker of its own, so none depends on colour.
LOOKS = {
    "AlexNet": Look(INK, "*"),
    "VGG": Look("#d55e00", "s"),
    "Inception": Look("#0072b2", "o"),
    "ResNet": Look("#009e73", "^"),
    "DenseNet": Look("#cc79a7", "D"),
    "MobileNet": Look("#e69f00", "v"),
    "NASNet": Look("#56b4e9", "P"),
    "other": Look("#7f8690", "X"),
}
FAMILIES = tuple(name for name in LOOKS if name != "other")


def family(model: str) -> str:
    """The study's family of a model, by how its name begins; "other" for any other name."""
    return next((name for name in LOOKS if model.lower().startswith(name.lower())), "other")


def present(models: Iterable[str]) -> list[str]:
    """The families of ``models``, each once, in the order of `LOOKS`."""
    found = {family(model) for model in models}
    return [name for name in LOOKS if name in found]


def grouped(models: Sequence[str]) -> list[str]:
    """``models`` with those of a family together, families and models in the order in which they first come."""
    first = list(dict.fromkeys(family(model) for model in models))
    return sorted(models, key=lambda model: first.index(family(model)))


def borders(models: Sequence[str]) -> list[int]:
    """The places in ``models`` where another family begins."""
    return [
        place
        for place in range(1, len(models))
        if family(models[place]) != family(models[place - 1])
    ]
