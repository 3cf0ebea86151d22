"""jaxadv: how robust are image classifiers? The attacks, CLEVER scores and transfer of the ECCV 2018 study, in JAX.

Names are loaded when first used, so that what needs no JAX does not import it.
"""

import importlib

_HOME = {
    "Classifier": "jaxadv.core.classifier",
    "load_classifier": "jaxadv.core.classifier",
    "ensemble": "jaxadv.core.ensembles",
    "FGSM": "jaxadv.attacks.fgsm",
    "IFGSM": "jaxadv.attacks.fgsm",
    "CarliniWagnerL2": "jaxadv.attacks.carlini_wagner",
    "ElasticNetL1": "jaxadv.attacks.elastic_net",
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


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'jaxadv' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
