"""Modules of PyTorch as classifiers: the proof, attacks, and one line for what
is not read."""

import threading
import warnings

import jax
import numpy as np
import pytest
import torch
from small_network import small
from torch import nn

import jaxadv
from jaxadv.foreign import torch_export, trust
from jaxadv.foreign.pytorch import applied, normalisation
from model_ports.errors import InputError

pytestmark = pytest.mark.frameworks
SIZE = 16


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(count, SIZE, SIZE, 3)).astype(np.float32)


def test_a_module_is_proven_attacked_and_differentiated():
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    network = small()
    classifier = jaxadv.from_torch(network, input_size=SIZE, mean=mean, std=std, name="small")
    proof = classifier.facts["proof"]
    assert proof["double"]["logits"] < trust.DOUBLE and proof["double"]["gradient"] < trust.DOUBLE
    assert proof["single"]["logits"] < trust.SINGLE and len(classifier.facts["sha256"]) == 64
    pixels = torch.from_numpy(images()).requires_grad_()
    logits = network(((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2))
    [gradient] = torch.autograd.grad(logits[:, 3].sum(), pixels)
    answer = classifier.logits_and_gradient(images(), np.tile(np.eye(10)[3], (3, 1)))
    np.testing.assert_allclose(answer.logits, logits.detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answer.gradient, gradient, rtol=1e-3, atol=1e-5)
    labels = classifier.predict(images())
    one, three = (
        jaxadv.run_attack(classifier, jaxadv.FGSM(eps=0.1), images(), labels, lanes=lanes)
        for lanes in (1, 3)
    )
    assert one.success.any() and (one.success == three.success).all()
    np.testing.assert_allclose(one.adversarial, three.adversarial, atol=1e-6)


def test_the_fingerprint_follows_weights_steps_and_normalisation():
    def sha256(network, **settings):
        return jaxadv.from_torch(network, input_size=SIZE, prove=False, **settings).facts["sha256"]

    network, other = small(), small()
    first = sha256(network)
    assert sha256(other) == first
    assert sha256(other, mean=0.5) != first
    other[2] = nn.GELU().eval()
    assert sha256(other) != first
    with torch.no_grad():
        network[0].bias += 1
    assert sha256(network) != first


class Calls(nn.Module):
    """A module that computes what a test says."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, pixels):
        return self.function(pixels)


class Outer(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.layer = inner

    def forward(self, pixels):
        return self.layer(pixels)


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, pixels):
        self.calls += 1
        return pixels.mean((2, 3)) * self.calls


def _means(pixels):
    return pixels.mean((2, 3))


REFUSED = {
    "unknown operator": (
        Outer(Calls(lambda x: _means(torch.special.bessel_j0(x)))),
        ["bessel_j0", "'layer'", "Calls"],
    ),
    "random": (Calls(lambda x: _means(x) + torch.rand(3)), ["aten.rand", "random"]),
    "dropout": (Calls(lambda x: _means(nn.functional.dropout(x, 0.5))), ["random", "eval()"]),
    "random of NumPy": (Calls(lambda x: _means(x) + np.random.rand()), ["called again"]),
    "state": (Counts(), ["calls", "state"]),
    "steered": (
        Calls(lambda x: _means(x) if x.sum() > 0 else -_means(x)),
        ["torch.export", "data-dependent"],
    ),
    "batch": (Calls(lambda x: _means(x) - _means(x).mean(0)), ["another stands beside it"]),
    "two results": (Calls(lambda x: (_means(x), x)), ["one array (N, classes)"]),
    "NaN": (Calls(lambda x: _means(x) / 0), ["NaN or infinite"]),
    "no gradient": (Calls(lambda x: _means(x.detach())), ["no gradient", "detach"]),
    "constant": (Calls(lambda x: torch.ones(len(x), 3)), ["no gradient"]),
    "whole numbers": (Calls(lambda x: _means(255 * x).long()), ["int64", "real numbers"]),
    "complex logits": (Calls(lambda x: torch.fft.fft(_means(x))), ["complex64", "real numbers"]),
    "no logits": (Calls(lambda x: {"out": _means(x), "aux": x}), ["'out', 'aux'", "'logits'"]),
    "no gradient in JAX": (
        Calls(
            lambda x: x[:, 0, 1].scatter_reduce(1, x[:, 0, 0].long(), x[:, 0, 0], "prod"),
        ),
        ["gradient", "JAX"],
    ),
    "another size": (nn.Sequential(nn.Flatten(), nn.Linear(7, 5)), ["torch.export", "7"]),
    "half": (
        nn.Sequential(nn.Flatten(), nn.Linear(768, 5)).half(),
        ["1.weight", "float16", "float()"],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_read_is_one_line(what, capsys):
    module, words = REFUSED[what]
    with pytest.raises(InputError) as error:
        jaxadv.from_torch(module.eval(), input_size=SIZE, name="mine")
    line = str(error.value)
    assert "\n" not in line and "mine" in line and all(word in line for word in words), line
    assert capsys.readouterr() == ("", "")


def test_a_module_in_training_mode_scripted_or_quantised_is_one_line():
    network = small()
    network[1].train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own word on scripts
        scripted = torch.jit.script(small())
    for module, words in (
        (network, ["'1'", "training mode", "eval()"]),
        (scripted, ["scripted"]),
        (3, ["int", "torch.nn.Module"]),
    ):
        with pytest.raises(InputError) as error:
            torch_export.check(module, "mine")
        assert all(word in str(error.value) for word in words), error.value
    quantised = nn.Sequential(nn.Flatten(), nn.Linear(768, 5)).eval()
    quantised[1].__class__ = type(
        "Linear", (nn.Linear,), {"__module__": "torch.ao.nn.quantized.modules.linear"}
    )
    with pytest.raises(InputError, match="quantised"):
        torch_export.check(quantised, "mine")
    with pytest.raises(InputError, match="input_size is not given"):
        jaxadv.from_torch(small())
    with pytest.raises(InputError, match="std is 0"):
        jaxadv.from_torch(small(), input_size=SIZE, std=0)


def test_a_converted_network_that_differs_is_refused():
    exported = torch_export.export(small(), (3, SIZE, SIZE), "mine")
    apply = applied(exported.steps, normalisation(None, None))
    changed = {name: array * np.float32(1.00001) for name, array in exported.params.items()}

    def original(pixels, weights):
        with jax.enable_x64(pixels.dtype == np.float64):
            return trust.answer(apply, changed, pixels, weights)

    with pytest.raises(InputError, match="differs from the original in double precision"):
        trust.prove("mine", apply, exported.params, original, input_size=SIZE, outputs=10)


def test_dictionaries_with_logits_and_modules_that_fix_the_batch():
    mapped = jaxadv.from_torch(
        Calls(lambda x: {"logits": _means(x)}).eval(), input_size=SIZE, name="mapped"
    )
    np.testing.assert_allclose(mapped.logits(images()), images().mean((1, 2)), rtol=1e-5)
    one_by_one = Calls(lambda x: torch.cat([_means(image[None]) for image in x])).eval()
    fixed = jaxadv.from_torch(one_by_one, input_size=SIZE, name="fixed")
    np.testing.assert_allclose(fixed.logits(images(5)), images(5).mean((1, 2)), rtol=1e-5)


class Holds(nn.Module):
    """A layer, and something beside it."""

    def __init__(self, thing):
        super().__init__()
        self.layer, self.thing = nn.Linear(3, 4), thing

    def forward(self, pixels):
        return self.layer(_means(pixels))


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.filters = nn.Parameter(torch.randn(3, SIZE, SIZE // 2 + 1, dtype=torch.cfloat))

    def forward(self, pixels):
        return torch.fft.irfft2(torch.fft.rfft2(pixels) * self.filters).square().mean(3).flatten(1)


class Rounds(nn.Module):
    """Numbers in single precision, whatever precision the weights have."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 7)

    def forward(self, pixels):
        return self.layer(_means(pixels)) * torch.linspace(0.1, 0.7, 7)


def _older_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own word on `weight_norm`
        layer = nn.utils.weight_norm(nn.Linear(3, 4))
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer)


UNUSUAL = {
    "complex weights": Complex,
    "a tuple of one": lambda: Calls(lambda x: (_means(x),)),
    "arrays with a gradient": _older_weight_norm,
    "side effects": lambda: Calls(
        lambda x: torch.linalg.inv(torch.eye(3) + x[:, :, :3, 0]).flatten(1)
    ),
    "single precision": Rounds,
}


@pytest.mark.few("complex weights", "single precision", slow=())
@pytest.mark.parametrize("what", UNUSUAL)
def test_modules_of_unusual_forms_are_proven(what):
    module = UNUSUAL[what]().eval()
    proof = jaxadv.from_torch(module, input_size=SIZE, name="mine").facts["proof"]
    assert proof["double"]["logits"] < trust.DOUBLE


def test_a_module_that_cannot_be_copied_is_one_line():
    module = Holds(threading.Lock()).eval()
    with pytest.raises(InputError, match=r"mine cannot be copied .*lock"):
        jaxadv.from_torch(module, input_size=SIZE, name="mine")


def test_a_module_that_stops_gradients_is_refused_by_the_proof():
    """torch's export takes such places out of its graph, so that they cannot be read."""

    class Stops(nn.Module):
        def forward(self, pixels):
            with torch.no_grad():
                factor = pixels.mean((2, 3))
            return pixels.mean((2, 3)) * factor + pixels.std((2, 3)).detach()

    with pytest.raises(InputError, match="differs from the original in double precision.*gradient"):
        jaxadv.from_torch(Stops().eval(), input_size=SIZE, name="stops")


def _changed_in_place(pixels):
    means = _means(pixels)
    return nn.functional.silu(means - 0.3, inplace=True) + means


def _used_again(pixels):
    before = _means(pixels) - 0.3
    after = nn.functional.silu(before, inplace=True)
    return before * 2 + after


def _shared(pixels):
    means = _means(pixels) - 0.3
    part = means[:, :1]
    means.mul_(3)
    return means + part


def _shared_later(pixels):
    means = _means(pixels) - 0.3
    larger = means.mul_(3)
    part = means[:, :1]
    return larger.add_(1) * part


@pytest.mark.parametrize("function", [_changed_in_place, _used_again, _shared, _shared_later])
def test_changes_in_place(function):
    """They reach whatever uses the array later, also through a view of it."""
    classifier = jaxadv.from_torch(Calls(function).eval(), input_size=SIZE)
    expected = function(torch.from_numpy(images()).permute(0, 3, 1, 2))
    np.testing.assert_allclose(classifier.logits(images()), expected, rtol=1e-5, atol=1e-6)
