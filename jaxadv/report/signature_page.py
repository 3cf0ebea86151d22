"""The page's section on the transfer signature: which family each network would be taken for if it
were unknown.
"""

from jaxadv.analysis.signature import ALL
from jaxadv.report.cells import body, folded, framed, head
from jaxadv.report.columns import show
from jaxadv.report.views import Views


def signature(views: Views, figure: str) -> str:
    """figure: the confusion matrix as HTML. "" for a run in which no network can be named."""
    found, table = views.study["signature"], views.study["signature_confusion"]
    if found.empty:
        return ""
    total = table[table["family"] == ALL].iloc[0]
    rate = (
        "none of them has another member of its family in this run, so that none could be named "
        "rightly"
    )
    if total["networks"]:
        low, high = (show("right_rate", total[f"right_rate_{end}"]) for end in ("low", "high"))
        rate = (
            f"of the {total['networks']} whose family has another member, {total['right']} are "
            f"named rightly, {show('right_rate', total['right_rate'])} [{low}, {high}]; "
            f"a network drawn at random would be of the family {show('chance', total['chance'])} "
            "of the time"
        )
    lead = (
        "<p>Which adversarial images fool a network can tell its family, where nothing else of it "
        "is known. Here each network in turn is the unknown one. It takes the family of the "
        "network that the same images fool most alike, "
        f"by correlation over sources, attacks, settings and targets. Result: {rate}. "
        "The interval takes networks for independent, which they hardly are.</p>"
    )
    columns = [str(name) for name in found]
    every = framed(head(columns), body(found, columns), "signature")
    return lead + figure + folded("Every network", every)
