"""jaxadv: how robust are image classifiers? The attacks, CLEVER scores and transfer of the ECCV
2018 study, in JAX.

A name is loaded when it is first used. So code that does not need JAX does not import it.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxadv.support import freed_memory

if TYPE_CHECKING:  # for type checkers
    from jaxadv.api import clever_scores as clever_scores
    from jaxadv.api import run_attack as run_attack
    from jaxadv.attacks.alma import ALMA as ALMA
    from jaxadv.attacks.apgd import APGD as APGD
    from jaxadv.attacks.autoattack import AutoAttack as AutoAttack
    from jaxadv.attacks.carlini_wagner import CarliniWagnerL2 as CarliniWagnerL2
    from jaxadv.attacks.ddn import DDN as DDN
    from jaxadv.attacks.elastic_net import ElasticNetL1 as ElasticNetL1
    from jaxadv.attacks.fab import FAB as FAB
    from jaxadv.attacks.fgsm import FGSM as FGSM
    from jaxadv.attacks.fgsm import IFGSM as IFGSM
    from jaxadv.attacks.fmn import FMN as FMN
    from jaxadv.attacks.pdpgd import PDPGD as PDPGD
    from jaxadv.attacks.square import Square as Square
    from jaxadv.clever.weibull import fit_reverse_weibull as fit_reverse_weibull
    from jaxadv.core.classifier import Classifier as Classifier
    from jaxadv.core.classifier import load_classifier as load_classifier
    from jaxadv.core.ensembles import ensemble as ensemble
    from jaxadv.core.transfer import refit as refit
    from jaxadv.core.transfer import transfer_rates as transfer_rates
    from jaxadv.evaluation.evaluate import evaluate as evaluate
    from jaxadv.evaluation.results import Run as Run
    from jaxadv.evaluation.results import open_run as open_run
    from jaxadv.evaluation.settings import CleverSettings as CleverSettings
    from jaxadv.evaluation.settings import Settings as Settings
    from jaxadv.foreign.keras_models import from_keras as from_keras
    from jaxadv.foreign.onnx.files import from_onnx as from_onnx
    from jaxadv.foreign.pytorch import from_torch as from_torch
    from model_ports.errors import InputError as InputError

_HOME = {
    "Classifier": "jaxadv.core.classifier",
    "load_classifier": "jaxadv.core.classifier",
    "ensemble": "jaxadv.core.ensembles",
    "FGSM": "jaxadv.attacks.fgsm",
    "IFGSM": "jaxadv.attacks.fgsm",
    "CarliniWagnerL2": "jaxadv.attacks.carlini_wagner",
    "ElasticNetL1": "jaxadv.attacks.elastic_net",
    "APGD": "jaxadv.attacks.apgd",
    "FAB": "jaxadv.attacks.fab",
    "Square": "jaxadv.attacks.square",
    "DDN": "jaxadv.attacks.ddn",
    "FMN": "jaxadv.attacks.fmn",
    "PDPGD": "jaxadv.attacks.pdpgd",
    "ALMA": "jaxadv.attacks.alma",
    "AutoAttack": "jaxadv.attacks.autoattack",
    "from_torch": "jaxadv.foreign.pytorch",
    "from_keras": "jaxadv.foreign.keras_models",
    "from_onnx": "jaxadv.foreign.onnx.files",
    "evaluate": "jaxadv.evaluation.evaluate",
    "open_run": "jaxadv.evaluation.results",
    "Run": "jaxadv.evaluation.results",
    "Settings": "jaxadv.evaluation.settings",
    "CleverSettings": "jaxadv.evaluation.settings",
    "run_attack": "jaxadv.api",
    "clever_scores": "jaxadv.api",
    "fit_reverse_weibull": "jaxadv.clever.weibull",
    "refit": "jaxadv.core.transfer",
    "transfer_rates": "jaxadv.core.transfer",
    "InputError": "model_ports.errors",
}
__all__ = sorted(_HOME)
__version__ = "0.2.0"

freed_memory.keep()  # at once, since threads that exist already do not take part


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(
            f"module 'jaxadv' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
