"""The figures of a run within its page."""

from collections.abc import Iterable, Mapping
from html import escape

from jaxadv.report.cells import folded
from jaxadv.report.figures import Rendered
from jaxadv.report.figures.canvas import inline
from jaxadv.report.measures import Measure

CURVES = ("robustness_curves_", "curve_", "robust_", "sweep_")
"""A figure whose name begins so stands in the section of robustness curves, in this order."""


def figure(drawn: Rendered, kind: str = "") -> str:
    """One figure with its caption, in a box that scrolls. kind: another class of the box."""
    drawing = inline(drawn.svg, drawn.stem.replace(".", "_"), drawn.title)
    caption = f"<figcaption class=what>{escape(drawn.caption)}</figcaption>"
    box = f"scroll {kind}".strip()
    return (
        f'<figure class="chart"><div class="{box}" tabindex="0">{drawing}</div>{caption}</figure>'
    )


def curves(drawn: Mapping[str, Rendered]) -> str:
    """Robustness against what an attack may spend, from all figures that `CURVES` names.

    The first is in sight; the others unfold.
    """
    shown = [
        figure(one) for begin in CURVES for stem, one in drawn.items() if stem.startswith(begin)
    ]
    if len(shown) < 2:
        return "".join(shown)
    more = "".join(shown[1:])
    return shown[0] + folded("Other norms and attacks", more)


def scatters(chief: Iterable[Measure], drawn: Mapping[str, Rendered]) -> str:
    """The searching attacks and CLEVER in the second norm; CLEVER in the others to unfold."""
    figures = {one.title: one for one in drawn.values() if one.stem.startswith("accuracy_")}
    shown, more = [], []
    for measure in chief:
        one = figures.get(measure.figure_title)
        if one:
            is_more = measure.attack == "clever" and measure.setting != "2"
            (more if is_more else shown).append(figure(one, "right"))
    if not shown + more:
        return ""
    lead = (
        "<p>Each point is a model, and its bar the 95 % interval of the mean. To the right is "
        "more accurate, upwards is more robust. No model is better in both than a model <em>on the "
        "frontier</em>.</p><p>The law of the study (Su et al., ECCV 2018) is robustness = "
        "a + b ln(error) with b above 0. Accuracy is then paid for with robustness. "
        "It is fitted to the frontier alone. A frontier of three or more models always has b above "
        "0, so <em>Statements</em> asks all models too.</p>"
    )
    boxes = [f'<div class="charts">{"".join(each)}</div>' for each in (shown, more)]
    return lead + boxes[0] + (folded("CLEVER in other norms", boxes[1]) if more else "")


def fits(drawn: Mapping[str, Rendered]) -> str:
    """The fits behind CLEVER's scores."""
    if "clever_fits" not in drawn:
        return ""
    lead = (
        "<p>CLEVER estimates a lower bound of the distance that fools a model. It needs "
        "gradients alone, and no attack. The bound is a margin over a Lipschitz constant. That "
        "constant is the end point of a reverse Weibull law. "
        "The law is fitted to the largest gradient norms of batches of samples around an image. "
        "Where no fit is acceptable (p below 0.001), the largest norm is taken instead.</p>"
    )
    return lead + figure(drawn["clever_fits"])
