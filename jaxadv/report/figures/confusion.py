"""The confusion matrix of the transfer signature: the family of each network, and the one that it
is taken for.
"""

import pandas as pd

from jaxadv.analysis.families import FAMILIES, INK
from jaxadv.analysis.signature import ALL
from jaxadv.report.figures.canvas import LINE, PAPER, SOFT, new_figure, settle
from jaxadv.report.heat import colour, text_colour

TITLE = "Families named by transfer signature, leaving one network out"


def confusion_map(table: pd.DataFrame):
    """table: of `jaxadv.analysis.signature.confusion`.

    Cells are numbers of networks, coloured by their share of the line.
    """
    table = table[table["family"] != ALL]
    counts = table[[f"named_{name}" for name in FAMILIES]].to_numpy(int)
    lines, across = counts.shape
    figure = new_figure(0.62 * across + 1.9, 0.42 * lines + 1.5)
    axes = figure.add_subplot()
    for line in range(lines):
        for place in range(across):
            share = counts[line, place] / max(counts[line].sum(), 1)
            back = colour(share) if counts[line, place] else LINE
            axes.add_patch(_cell(place, line, back))
            if counts[line, place]:
                axes.text(
                    place + 0.5,
                    line + 0.5,
                    counts[line, place],
                    ha="center",
                    va="center",
                    color=text_colour(back),
                    zorder=4,
                )
            if table["family"].iloc[line] == FAMILIES[place]:
                axes.add_patch(
                    _cell(
                        place, line, "none", edgecolor=INK, linewidth=1.2, zorder=3, clip_on=False
                    )
                )
    axes.set_xticks(
        [place + 0.5 for place in range(across)],
        FAMILIES,
        rotation=30,
        ha="left",
        rotation_mode="anchor",
    )
    axes.set_yticks(
        [line + 0.5 for line in range(lines)], [_line(row) for row in table.itertuples()]
    )
    axes.tick_params(length=0, labelcolor=INK)
    axes.xaxis.tick_top()
    axes.set_xlim(0, across)
    axes.set_ylim(lines, 0)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        "taken for (columns); of family (rows); outlined: right", fontsize=8, color=SOFT, loc="left"
    )
    settle(figure)
    return figure


def caption(table: pd.DataFrame) -> str:
    total = table[table["family"] == ALL].iloc[0]
    return (
        "Each network named after the other one to which the same adversarial images transfer "
        f"most alike. Right: {total['right']} of the "
        f"{total['networks']} whose family has another member; the others are shown, not "
        "counted. Colours are shares of a line."
    )


def _cell(place: int, line: int, back: str, **look):
    from matplotlib.patches import Rectangle

    return Rectangle(
        (place, line), 1, 1, **({"facecolor": back, "edgecolor": PAPER, "linewidth": 1.5} | look)
    )


def _line(row) -> str:
    return row.family if row.networks else f"{row.family} (not counted)"
