"""How to read a page: what the numbers of this run cannot bear, and how they are counted."""

from html import escape

import pandas as pd

from jaxadv.report.libraries import other_pictures
from jaxadv.report.sizes import any_of_zoo
from jaxadv.report.transfer_page import span
from jaxadv.report.views import Views

HOW_TO_READ = (
    "Only images that a model classifies correctly are attacked. Distances are means over "
    "successful attempts, as in the study. A model on which an attack often fails can look closer "
    "than it is. So read distances beside <em>n</em> and <em>failed</em>. "
    "Pixels have range 1. Brackets are 95 % intervals.",
    "A <em>near tie</em> is a targeted attempt whose target comes within 0.001 of the largest "
    "output without being it. The study's code counts it as a success. Here it is a failure, and "
    "counted apart.",
)
HOW_TO_READ_TRANSFER = (
    "In a transfer map a row is the model that the images were made for, and a column the model "
    "that is shown them. A cell is the share of images that fool the shown model, of those that it "
    "has right when clean. Untargeted, any wrong class counts. With a target, only the target "
    "does.",
    "Where a search failed, the study's code hands on an image of NaN, and it stays in the count. "
    "Untargeted it practically always counts as transferred, and with a target it does not. "
    "The maps follow that rule. Where it changes anything, they unfold to the two alternatives.",
)


def caveats(views: Views) -> str:
    """What the numbers cannot bear, as far as this run's rows tell, and how they are counted."""
    notes = list(views.faults)
    own, scores = views.made.robustness, views.made.clever
    has_transfer = len(views.made.transfer) > 0
    attempts = own["n"]
    if len(attempts) and attempts.min() < 100:
        notes.append(
            f"Few images: rates and means rest on {span(attempts)} attempts each. Intervals that "
            "overlap do not order models. The law rests on the few models of the frontier."
        )
    settings = views.manifest.get("settings")
    if isinstance(settings, dict) and settings.get("data") == "digits":
        small = ", and small networks are not the study's" * any_of_zoo(views.models)
        notes.append(
            f"Handwritten digits are not ImageNet{small}. "
            "This run shows how things work, and not what the study found."
        )
    if other := other_pictures(views.manifest):
        notes.append(other)
    failed = int((attempts - own["successes"]).sum()) if len(own) else 0
    if failed:
        counted = ", and transfer counts them in three ways" * has_transfer
        notes.append(
            f"{failed:,} of {int(attempts.sum()):,} attempts failed. Distances leave them "
            f"out{counted}."
        )
    notes += _sizes(own)
    if len(scores) and (scores["fell_back"] > 0).any():
        notes.append(
            f"Up to {100 * scores['fell_back'].max():.0f} % of a model's CLEVER scores have no "
            "acceptable fit."
        )
    reading = HOW_TO_READ + HOW_TO_READ_TRANSFER * has_transfer
    return "".join(f"<p>{paragraph}</p>" for paragraph in [*map(escape, notes), *reading])


def _sizes(robustness: pd.DataFrame) -> list[str]:
    """A note where the networks' inputs differ in size: what that does to distances."""
    values = (robustness["l2_mean"] / robustness["l2_per_pixel_mean"]).dropna().round()
    if len(values) == 0 or values.min() > 0.99 * values.max():
        return []
    return [
        f"The inputs differ in size, from {values.min():,.0f} to {values.max():,.0f} values. If "
        "each pixel changes by the same amount, L1 and L2 are larger for a larger input, and "
        "L2 / 3HW is smaller."
    ]
