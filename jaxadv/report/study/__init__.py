"""What the study concludes, asked of a run: comparisons, what explains robustness, what goes
together, and its statements judged.
"""

import pandas as pd

from jaxadv.analysis import signature
from jaxadv.report.measures import Measure
from jaxadv.report.sizes import SIZES
from jaxadv.report.study import claims_attacks, claims_models, claims_transfer
from jaxadv.report.study.agreement import clever_agreement, transfer_symmetry
from jaxadv.report.study.models import comparison, depth, explanation
from jaxadv.report.study.samples import common_images, samples
from jaxadv.report.study.sensitivity import sensitivity
from jaxadv.report.study.verdicts import Claim, of_the_study
from jaxadv.report.tables import Tables
from jaxadv.store.run import Run

NAMES = (
    "claims",
    "comparison",
    "explanation",
    "depth",
    "symmetry",
    "agreement",
    "sensitivity",
    "signature",
    "signature_confusion",
)


def compute(run: Run, made: Tables, found: list[Measure]) -> dict[str, pd.DataFrame]:
    """The tables called `NAMES`, from the rows of a run, its tables and its measures.

    Raises InputError for rows that cannot be read.
    """
    shown = samples(run, made.robustness, found)
    settings = run.manifest().get("settings")
    zoo = str(settings.get("zoo")) if isinstance(settings, dict) else ""
    sizes = SIZES.get(zoo, {})
    named = signature.leave_one_out(made.transfer)
    tables = {
        "comparison": comparison(shown),
        "explanation": explanation(shown, sizes),
        "depth": depth(shown, sizes),
        "symmetry": transfer_symmetry(made),
        "agreement": clever_agreement(shown),
        "sensitivity": sensitivity(made, shown, common_images(run)),
        "signature": named,
        "signature_confusion": signature.confusion(named),
    }
    evidence = of_the_study(made, shown, tables, zoo)
    judged = [
        claim
        for module in (claims_attacks, claims_models, claims_transfer)
        for claim in module.claims(evidence)
    ]
    judged.sort(key=lambda claim: (int(claim.statement.rstrip("abcde")), claim.statement))
    return {"claims": pd.DataFrame(judged, columns=Claim._fields), **tables}
