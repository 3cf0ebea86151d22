"""Adversarial images beside their clean ones, with what was changed made visible."""

import numpy as np
import pandas as pd

from jaxadv.analysis.families import INK, grouped
from jaxadv.attacks import catalog
from jaxadv.core.targets import KINDS
from jaxadv.report.figures.canvas import SOFT, new_figure, wrapped

_FACTORS = (1, 2, 3, 5, 10, 20, 30, 50, 100)
_MOST_MODELS = 20  # of one figure
_CELL, _GAP, _NAME, _HEAD, _FOOT = 0.6, 0.05, 1.5, 1.05, 0.16  # inches
_PIXELS = 96  # of a picture's side
_TITLE = (
    "Adversarial images: for each attack the image, and its difference from the clean one, "
    "enlarged around grey"
)
_LETTERS, _LINE = 9.5, 0.16  # of the title: points, and inches a line


def picture(values, size: int) -> np.ndarray:
    """An image (size, size, 3) in [0, 1] of the store's flat list."""
    return np.asarray(values, np.float32).reshape(size, size, 3).clip(0, 1)


def amplified(clean: np.ndarray, adversarial: np.ndarray, factor: float) -> np.ndarray:
    """The difference times ``factor`` around mid-grey."""
    return (0.5 + factor * (adversarial - clean)).clip(0, 1)


def amplification(rows: pd.DataFrame) -> int:
    """One factor for the pictures of an attack: the largest with which half of them are hardly cut
    off.
    """
    changes = [
        np.quantile(abs(np.asarray(adversarial) - np.asarray(clean)), 0.99)
        for clean, adversarial in zip(rows["clean"], rows["adversarial"], strict=True)
    ]
    changes = [change for change in changes if change > 0]
    allowed = 0.5 / np.median(changes) if changes else 1.0
    return max((factor for factor in _FACTORS if factor <= allowed), default=1)


def attempts(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """The columns of a grid: (attack, target kind, setting), each once."""
    return list(
        dict.fromkeys(rows[["attack", "target_kind", "setting"]].itertuples(index=False, name=None))
    )


def by_place(rows: pd.DataFrame) -> dict[tuple[str, tuple[str, str, str]], dict]:
    """Each picture by (model, (attack, target kind, setting)); the first where there are
    several.
    """
    found: dict = {}
    for row in rows.to_dict("records"):
        found.setdefault((row["model"], (row["attack"], row["target_kind"], row["setting"])), row)
    return found


def head(how: tuple[str, str, str]) -> list[str]:
    attack, kind, setting = how
    return [catalog.title(attack), KINDS.get(kind, kind), setting.replace(",", ", ")]


def of_attempt(rows: pd.DataFrame, how: tuple[str, str, str]) -> pd.DataFrame:
    return rows[(rows[["attack", "target_kind", "setting"]] == list(how)).all(axis=1)]


def scaled(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture (S, S, 3) in [0, 1] as (side, side, 3) uint8: enlarged as squares, or reduced to
    the means of what falls together.
    """
    from PIL import Image

    image = Image.fromarray((255 * pixels).round().astype(np.uint8))
    return np.asarray(
        image.resize(
            (side, side), Image.Resampling.NEAREST if len(pixels) <= side else Image.Resampling.BOX
        )
    )


def pictures_figure(rows: pd.DataFrame, order):
    """A row a model: its clean image, then for each attack the adversarial one and the amplified
    difference.
    """
    place, columns = by_place(rows), attempts(rows)
    models = grouped([name for name in order if name in set(rows["model"])])[:_MOST_MODELS]
    factors = [amplification(of_attempt(rows, how)) for how in columns]
    width = _NAME + _CELL + (2 * _CELL + 3 * _GAP) * len(columns) + 0.1
    title = wrapped(_TITLE, width - 0.16, _LETTERS)
    top = _HEAD + _LINE * (len(title) - 1)
    height = top + (_CELL + _FOOT) * len(models) + 0.1
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    left = [
        _NAME + _CELL + 3 * _GAP + (2 * _CELL + 3 * _GAP) * number for number in range(len(columns))
    ]
    sheet = np.full(
        (
            round((_CELL + _FOOT) * len(models) * _PIXELS / _CELL),
            round((width - _NAME) * _PIXELS / _CELL),
            3,
        ),
        255,
        np.uint8,
    )

    def words(x, y, text, **how):
        axes.text(x, y, text, **({"va": "center", "ha": "center", "fontsize": 7.5} | how))

    def image(x, line, pixels):
        above, start = (
            round(inches * _PIXELS / _CELL) for inches in ((_CELL + _FOOT) * line, x - _NAME)
        )
        sheet[above : above + _PIXELS, start : start + _PIXELS] = scaled(pixels, _PIXELS)

    for number, line in enumerate(title):
        y = 0.16 + _LINE * number
        words(0.08, y, line, ha="left", fontsize=_LETTERS, fontweight="bold")
    words(_NAME + _CELL / 2, top - 0.12, "clean")
    for x, how, factor in zip(left, columns, factors, strict=True):
        lines = [_short(part) for part in head(how) if part] + [f"difference × {factor}"]
        words(x + _CELL, top - 0.06, "\n".join(lines), linespacing=1.3, va="bottom")
    for line, model in enumerate(models):
        y = top + (_CELL + _FOOT) * line
        words(_NAME - 0.1, y + _CELL / 2, model, ha="right", fontsize=8)
        shown = [place.get((model, how)) for how in columns]
        first = next(row for row in shown if row is not None)
        image(_NAME, line, picture(first["clean"], first["size"]))
        words(
            _NAME + _CELL / 2, y + _CELL + 0.07, f"label {first['label']}", fontsize=6.5, color=SOFT
        )
        for x, row, factor in zip(left, shown, factors, strict=True):
            if row is None:
                continue
            clean, adversarial = (
                picture(row["clean"], row["size"]),
                picture(row["adversarial"], row["size"]),
            )
            image(x, line, adversarial)
            image(x + _CELL + _GAP, line, amplified(clean, adversarial, factor))
            words(
                x + _CELL,
                y + _CELL + 0.07,
                verdict(row),
                fontsize=6.5,
                color=INK if row["success"] else SOFT,
            )
    bottom = top + sheet.shape[0] * _CELL / _PIXELS
    axes.imshow(
        sheet,
        extent=(_NAME, _NAME + sheet.shape[1] * _CELL / _PIXELS, bottom, top),
        interpolation="none",
        aspect="auto",
    )
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def verdict(row: dict) -> str:
    """E.g. "seen as 3", "failed: still 5", "failed: seen as 4, not 7"."""
    if row["predicted"] < 0:
        return "no class: NaN or infinite"
    if row["success"]:
        return f"seen as {row['predicted']}"
    return (
        f"failed: still {row['predicted']}"
        if row["predicted"] == row["label"]
        else f"failed: seen as {row['predicted']}{_wanted(row)}"
    )


def _wanted(row: dict) -> str:
    target = row.get("target", -1)
    return f", not {target}" if target >= 0 else ""


def _short(text: str) -> str:
    return text if len(text) <= 22 else text[:21] + "…"
