"""The study's four attacks, each a probe: FGSM, I-FGSM, C&W L2 and EAD-L1."""

from jaxadv.attacks.carlini_wagner import CarliniWagnerL2
from jaxadv.attacks.elastic_net import ElasticNetL1
from jaxadv.attacks.fgsm import FGSM, IFGSM

__all__ = ["FGSM", "IFGSM", "CarliniWagnerL2", "ElasticNetL1"]
