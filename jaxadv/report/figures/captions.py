"""What a figure shows, of how many images, under which settings: in a line or two, beside its files
and below it in the page.
"""

import pandas as pd

from jaxadv.attacks import catalog
from jaxadv.report.about import of_attack
from jaxadv.report.figures.sweeps import Sweep
from jaxadv.report.findings import counted
from jaxadv.report.measures import Measure
from jaxadv.report.names import panel_name, parameter_title
from jaxadv.report.tables import Panel
from jaxadv.report.views import Views


def of_sweep(views: Views, sweep: Sweep) -> str:
    rows = views.made.robustness[views.made.robustness["attack"] == sweep.attack]
    name, parameter = catalog.title(sweep.attack), parameter_title(sweep.parameter)
    text = (
        f"Success rate of {name} against {parameter}, a panel a family, the other models in "
        f"grey; n {counted(rows['n'])} attempts a point."
    )
    return text + _settings(views, [sweep.attack])


def of_measures(views: Views, found: list[Measure]) -> str:
    told = [
        f"{measure.title} (n {counted(measure.points['n'])} a model, "
        f"{int(measure.points['failures'].sum())} failed)"
        for measure in found
    ]
    text = (
        f"Robustness against top-1 accuracy: {'; '.join(told)}. A point a model, its mean "
        "over successes with the 95 % interval, "
    )
    text += (
        "larger is more robust; ringed: on the Pareto frontier, to which the dashed law a + b "
        "ln(error) is fitted."
    )
    return text + _settings(views, [measure.attack for measure in found])


def of_map(views: Views, panel: Panel, pairs: pd.DataFrame, own: pd.DataFrame) -> str:
    text = (
        f"Transfer, {panel_name(*panel)}: rows are the models that the images were made for, "
        "columns those that are shown them, cells the "
    )
    text += "percentage fooled of the images that the shown model has right when clean"
    text += " (any wrong class)" if panel.target_kind == "untargeted" else " (the attack's target)"
    text += f", as the study counts; n {counted(pairs['n_released'])} a pair"
    text += f"; diagonal: white box, n {counted(own['n'])}." if len(own) else "."
    return text + _settings(views, [panel.attack])


def of_fits(views: Views) -> str:
    batches = counted([len(maxima) for maxima in views.fits["maxima"]])
    text = (
        f"The largest gradient norms of {batches} batches, and the reverse Weibull density "
        "fitted to them; dotted: its end point. Of three "
    )
    text += "models the worst, a middling and the best fit."
    return text + _settings(views, ["clever"])


def of_pictures(views: Views) -> str:
    rows = views.adversarial
    text = (
        f"Adversarial images of {rows['model'].nunique()} models, an image each, and what "
        "was changed, enlarged around grey."
    )
    return text + _settings(views, list(dict.fromkeys(rows["attack"])))


def _settings(views: Views, attacks: list[str]) -> str:
    """The data, and what the manifest says of the attacks beside their swept settings."""
    settings = views.manifest.get("settings")
    if not isinstance(settings, dict):
        return ""
    data = [f"{name} {settings[name]}" for name in ("zoo", "data") if settings.get(name)]
    own = [
        f"{catalog.title(attack)}: {told}"
        for attack in attacks
        if (told := of_attack(settings, attack))
    ]
    told = "; ".join(filter(None, [", ".join(data), *own]))
    return f" {told[:1].upper()}{told[1:]}." if told else ""
