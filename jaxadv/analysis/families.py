"""The families of networks, with the colour and marker of each in every figure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

INK = "#1c1f24"


class Look(NamedTuple):
    """The look of a family in figures."""

    colour: str  # hexadecimal RGB
    marker: str  # of matplotlib


# These colours are distinct for colour-blind people (Okabe and Ito, "Color Universal Design",
# 2008). Its yellow is left out, because it is too faint on white. Each family also has a different
# marker.
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
    """The family of a model by the beginning of its name; "other" if no family fits.

    Args:
        model: the model's name.

    Returns:
        A key of `LOOKS`.
    """
    return next((name for name in LOOKS if model.lower().startswith(name.lower())), "other")


def present(models: Iterable[str]) -> list[str]:
    """The families of ``models``, each once, in the order of `LOOKS`.

    Args:
        models: names of models.

    Returns:
        Keys of `LOOKS`.
    """
    families = {family(model) for model in models}
    return [name for name in LOOKS if name in families]


def grouped(models: Sequence[str]) -> list[str]:
    """``models`` sorted by family. Families are in the order of their first model; models keep
    their order in a family.

    Args:
        models: names of models.

    Returns:
        The same names, sorted.
    """
    first = list(dict.fromkeys(family(model) for model in models))
    return sorted(models, key=lambda model: first.index(family(model)))


def borders(models: Sequence[str]) -> list[int]:
    """The indices in ``models`` at which another family begins.

    Args:
        models: names of models, sorted by family.

    Returns:
        The indices, ascending.
    """
    return [
        place
        for place in range(1, len(models))
        if family(models[place]) != family(models[place - 1])
    ]
