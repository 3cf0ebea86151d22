"""How much of a network's raw speed every attack and CLEVER reach."""

from jaxadv.analysis.families import LOOKS, family, grouped
from jaxadv.report.figures.canvas import INK, new_figure, settle

_HEIGHT = 0.8  # of a group of bars


def throughput_figure(table):
    """Bars of ``percent`` by ``what``, a network a colour and hatch, with the middle half of the
    turns; table: of `bench`.
    """
    rows = table[~table["what"].isin(["gradient", "forward", "pytorch"])]
    whats, models = list(dict.fromkeys(rows["what"])), grouped(list(dict.fromkeys(rows["model"])))
    figure = new_figure(
        6.4, 0.7 + len(whats) * max(0.35, 0.09 * len(models)) + 0.2 * -(-len(models) // 4)
    )
    axes = figure.subplots()
    height = _HEIGHT / len(models)
    for number, model in enumerate(models):
        own = rows[rows["model"] == model].set_index("what").loc[whats]
        member = [other for other in models if family(other) == family(model)].index(model)
        axes.barh(
            [place + (number - (len(models) - 1) / 2) * height for place in range(len(whats))],
            own["percent"],
            height=0.9 * height,
            xerr=[own["percent"] - own["percent_low"], own["percent_high"] - own["percent"]],
            color=LOOKS[family(model)].colour,
            alpha=1 - 0.3 * (member % 3),
            label=model,
            error_kw={"ecolor": INK, "elinewidth": 0.7},
        )
    axes.axvline(100, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(whats)), whats)
    axes.invert_yaxis()
    axes.set_xlim(0, max(110, 1.02 * rows["percent_high"].max()))
    axes.set_xlabel("% of the raw speed of its evaluations; the line: middle half of the turns")
    figure.legend(loc="outside lower center", ncols=4, fontsize=7.5)
    settle(figure)
    return figure
