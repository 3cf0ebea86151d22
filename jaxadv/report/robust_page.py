"""The page's section on robust accuracy: the numbers at each budget, and how near the searches come
to the best.
"""

from html import escape

from jaxadv.attacks import catalog
from jaxadv.report.attempted import NORMS
from jaxadv.report.cells import body, folded, framed, head
from jaxadv.report.names import listed, panel_name
from jaxadv.report.robustbench import as_text
from jaxadv.report.views import Views
from jaxadv.support.norms import DISTANCES

_EFFORT = ("steps", "queries", "targets")
"""Settings of AutoAttack that say how much it tries."""
_AT_BUDGETS = ["model", "images", "robust", "robust_accuracy", "searched_accuracy"]
_WHO = ["below_minimum", "missed", "broken_by", "gradients_mean", "forwards_mean"]
_NEAR = ["model", "n", "successes", "optimality", "distance_median", "best_median", "ratio_median"]


def robust_accuracy(views: Views) -> str:
    """The section, or "" for a run without budgets and searches.

    Args:
        views: of the run.
    """
    table = views.robust.robust_accuracy
    if table.empty:
        return ""
    lead = (
        "<p>The share of all images that a network has right and that no attack within the "
        "budget changes. An image that is wrong when clean counts as not robust. Brackets are 95 % "
        "intervals (Wilson). <em>Searched</em> is the same share, read off the least distances "
        "that the searches found. <em>Below minimum</em> counts images that the attack broke and "
        "no search did, <em>missed</em> those that a search broke and the attack did not. "
        "<em>Broken by</em> names the stages of AutoAttack: APGD with cross-entropy (apgd-ce), "
        "targeted APGD (apgd-t), targeted FAB (fab-t) and Square. A network that is random or "
        "gives probabilities is refused before anything is attacked.</p>"
    )
    return f"{lead}{_weaker(views)}{_budgets(views)}{_searches(views)}"


def _weaker(views: Views) -> str:
    """A note where AutoAttack had fewer steps, queries or targets than the standard."""
    entry = catalog.find("autoattack")
    settings = views.manifest.get("settings")
    attacks = settings.get("attacks") if isinstance(settings, dict) else None
    given = attacks.get("autoattack") if isinstance(attacks, dict) else None
    if entry is None or not isinstance(given, dict):
        return ""
    usual = {one.name: one.default for one in entry.parameters if one.name in _EFFORT}
    values = {name: given[name] for name in usual if isinstance(given.get(name), list)}
    less = [
        f"{max(some)} {name} instead of {usual[name]}"
        for name, some in values.items()
        if some and max(some) < usual[name]
    ]
    if not less:
        return ""
    return (
        f"<p>AutoAttack was weaker than its standard here: {escape(listed(less))}. With the "
        "standard, robust accuracy may be lower.</p>"
    )


def _budgets(views: Views) -> str:
    """A group for each budget and attack. Only AutoAttack's are open where the run has it, else
    those of the attacks with a budget. The others unfold.
    """
    table = views.robust.robust_accuracy
    kinds: dict[str, list[str]] = {name: [] for name in ("autoattack", "budget", "search")}
    columns = [*_AT_BUDGETS, *_WHO]
    for key, rows in table.groupby(["norm", "attack", "setting", "eps"], sort=False):
        norm, attack, setting = map(str, key[:3])
        eps = float(rows["eps"].iloc[0])
        what = f"{panel_name(attack, 'untargeted', setting)} · {DISTANCES[norm]} {as_text(eps)}"
        is_read_off = rows["within_100"].isna().all()
        kind = "autoattack" if attack == "autoattack" else "search" if is_read_off else "budget"
        kinds[kind].append(body(rows, columns, heading=what))
    tables = {kind: framed(head(columns), "".join(made)) for kind, made in kinds.items() if made}
    first, *others = tables
    names = {"budget": "Attacks with a budget", "search": "Read off the searches"}
    return tables[first] + "".join(folded(names[kind], tables[kind]) for kind in others)


def _searches(views: Views) -> str:
    """How near each search comes to the best known distances."""
    table = views.robust.optimality
    if table.empty:
        return ""
    groups = []
    for key, rows in table.groupby(["target_kind", "distance", "attack", "setting"], sort=False):
        kind, norm, attack, setting = map(str, key)
        if norm in NORMS:
            heading = f"{panel_name(attack, kind, setting)} · {DISTANCES[norm]}"
            groups.append(body(rows, _NEAR, heading=heading))
    lead = (
        "<p>Optimality is AttackBench's: 1 for the best distances that any attack of this run "
        "found, 0 for an attack that fools nobody.</p>"
    )
    every = framed(head(_NEAR), "".join(groups))
    return folded("How near the searches come", lead + every)
