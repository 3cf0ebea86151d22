"""A transfer matrix as a heat map, families together."""

from functools import lru_cache
from textwrap import wrap

import numpy as np
import pandas as pd

from jaxadv.analysis.families import INK, borders
from jaxadv.report.figures.canvas import LINE, PAPER, SOFT, new_figure, settle
from jaxadv.report.heat import colour, percent, text_colour

_CELL = 0.27  # inches
_MOST_NUMBERS = 40  # models: more, and the numbers could not be read


def transfer_map(rates: pd.DataFrame, title: str):
    """rates (M, M): shares, rows and columns in the order to be drawn, the diagonal the white-box
    rates; NaN: not run.
    """
    models = len(rates)
    cell = _CELL if models <= _MOST_NUMBERS else 0.12
    longest = max(map(len, rates.index))
    margin = 0.085 * longest + 0.4
    side = max(cell * models, 1.6)
    figure = new_figure(side + margin + 0.9, side + margin + 0.5)
    axes = figure.add_subplot()
    cells = rates.to_numpy(float)
    _cells(axes, cells)
    if models <= _MOST_NUMBERS:
        _numbers(axes, cells)
    places = np.arange(models) + 0.5
    axes.set_xticks(places, rates.columns, rotation=90)
    axes.set_yticks(places, rates.index)
    axes.tick_params(length=0, labelsize=7.5 if models <= _MOST_NUMBERS else 4, labelcolor=INK)
    axes.xaxis.tick_top()
    axes.set_xlim(0, models)
    axes.set_ylim(models, 0)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    note = "\n".join(
        wrap("shown to (columns); made for (rows); outlined: white box", max(24, int(side / 0.065)))
    )
    axes.set_xlabel(note, fontsize=8, color=SOFT, loc="left")
    for border in borders(list(rates.index)):
        for draw in (axes.axhline, axes.axvline):
            draw(border, color=PAPER, linewidth=2.5, zorder=2)
    for place in range(models):
        outline = [
            (place, place),
            (place + 1, place),
            (place + 1, place + 1),
            (place, place + 1),
            (place, place),
        ]
        axes.plot(
            *zip(*outline, strict=True),
            color=INK,
            linewidth=1.2 if models <= _MOST_NUMBERS else 0.5,
            zorder=3,
            clip_on=False,
        )
    _scale(figure, axes)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5, fontweight="bold")
    settle(figure)
    return figure


def _colours(steps: int = 101):
    from matplotlib.colors import ListedColormap

    return ListedColormap(
        [colour(step / (steps - 1)) for step in range(steps)], "jaxadv"
    ).with_extremes(bad=LINE)


def _cells(axes, cells):
    axes.pcolormesh(
        np.ma.masked_invalid(cells),
        cmap=_colours(),
        vmin=0,
        vmax=1,
        edgecolors=PAPER,
        linewidth=0.8,
    )


def _numbers(axes, cells):
    """The percentages.

    Equal ones are drawn together, as one shape at many places: a text each would take a second a
    map.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.transforms import Affine2D

    alike: dict[tuple[str, str], list] = {}
    for (row, column), share in np.ndenumerate(cells):
        ink = SOFT if np.isnan(share) else text_colour(colour(share))
        alike.setdefault((percent(share), ink), []).append((column + 0.5, row + 0.5))
    for (text, ink), places in alike.items():
        numbers = PathCollection(
            [_letters(text)],
            offsets=places,
            offset_transform=axes.transData,
            facecolors=ink,
            linewidths=0,
            zorder=4,
        )
        numbers.set_transform(Affine2D().scale(axes.figure.dpi / 72))
        axes.add_collection(numbers, autolim=False)


@lru_cache(maxsize=128)
def _letters(text: str):
    """The outline of a text around its middle."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    drawn = TextPath((0, 0), text, prop=FontProperties(family="DejaVu Sans", size=6.8))
    middle = (drawn.vertices.min(axis=0) + drawn.vertices.max(axis=0)) / 2
    return Path(drawn.vertices - middle, drawn.codes)


def _scale(figure, axes):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 100), _colours()), ax=axes, shrink=0.6, aspect=25, pad=0.02
    )
    bar.outline.set_visible(False)
    bar.set_label("fooled, %", fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
