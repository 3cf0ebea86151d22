"""Names of other libraries' networks: what they are called in rows, and what is refused.

No library is needed.
"""

import sys

import pytest

from jaxadv.commands import evaluate as command
from jaxadv.evaluation import networks, own_models
from jaxadv.foreign import forms, libraries
from jaxadv.report.libraries import full_names, other_pictures, with_published
from jaxadv.support import values
from model_ports.errors import InputError


@pytest.mark.parametrize(
    ("full", "name"),
    [
        ("timm:resnet50.a1_in1k", "timm.resnet50.a1_in1k"),
        ("timm:hf-hub:timm/resnet18.a1_in1k", "timm.hf_hub_timm_resnet18.a1_in1k"),
        ("torchvision:resnet50.IMAGENET1K_V1", "torchvision.resnet50.IMAGENET1K_V1"),
        ("keras:ResNet50", "keras.ResNet50"),
        ("keras:a/b/my net.keras", "keras.my_net"),
        ("torch:own/file.py:make", "torch.make"),
        ("onnx:own/my-net.onnx", "onnx.my_net"),
        ("robustbench:cifar10/Linf/Some2020Net", "robustbench.cifar10_Linf_Some2020Net"),
    ],
)
def test_the_name_of_a_row_follows_from_the_full_name(full, name):
    assert forms.is_foreign(full) and libraries.row_name(full) == name
    assert own_models._NAME.fullmatch(name)
    other = libraries.row_name(full, [name])
    assert other != name and other.startswith(f"{name}.") and own_models._NAME.fullmatch(other)
    assert libraries.row_name(full, [name]) == other


def test_the_zoos_names_and_files_are_no_foreign_ones():
    assert not any(map(forms.is_foreign, ["vgg_16", "own.py:make", "timm", "c:resnet"]))


def test_the_command_line_takes_them_beside_the_zoos():
    known = ["alexnet", "vgg_16"]
    names = ["vgg_16", "timm:resnet18", "torch:own.py:make", "timm:resnet18"]
    assert values.models(names, known, forms.FORMS) == names[:3]
    with pytest.raises(InputError, match="unknown model 'resnet18'.*timm:NAME"):
        values.models(["resnet18"], known, forms.FORMS)
    with pytest.raises(InputError, match="unknown model 'timm:resnet18'"):
        values.models(["timm:resnet18"], known)
    assert command.networks_of.__doc__


@pytest.mark.parametrize(
    ("full", "words"),
    [
        ("timm:", ["'timm:'", "timm:NAME"]),
        ("torch:own.py", ["--models=torch:", "'own.py'", "FILE.py:FUNCTION"]),
        ("torch:no.py:make", ["no file 'no.py'"]),
        ("resnet18", ["unknown model 'resnet18'", "timm:NAME"]),
    ],
)
def test_what_cannot_be_is_one_line(full, words):
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        networks.choose([full], networks.Zoo())
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("full", "module", "extra"),
    [
        ("timm:resnet18", "torch", "jaxadv[torch]"),
        ("torchvision:resnet18", "torchvision", "jaxadv[torch]"),
        ("robustbench:Some2020Net", "robustbench", "RobustBench's page"),
        ("keras:ResNet50", "keras", "jaxadv[keras]"),
        ("onnx:own.onnx", "onnx", "jaxadv[onnx]"),
    ],
)
def test_a_library_that_is_missing_is_one_line(full, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
        networks.choose([full], networks.Zoo())
    assert extra in str(error.value), error.value


def test_another_build_of_torchvision_is_one_line(tmp_path, monkeypatch):
    """Whoever imports it: a user's own file here."""
    monkeypatch.chdir(tmp_path)
    said = "raise RuntimeError('operator torchvision::nms does not exist')"
    (tmp_path / "own.py").write_text(f"def make():\n    {said}\n")
    for full in ("torch:own.py:make", "own.py:make"):
        with pytest.raises(InputError, match=r"\A[^\n]+\Z") as error:
            networks.choose([full], networks.Zoo())
        assert "own.py:2: torchvision is of another build than PyTorch" in str(error.value)


def test_what_a_manifest_tells_of_them_is_on_the_page():
    import pandas as pd

    manifest = {
        "settings": {"preprocessing": "study"},
        "weights": {
            "alexnet": {"sha256": "0"},
            "keras.VGG16": {
                "full_name": "keras:VGG16",
                "published": {"top1_percent": 71.3, "source": "there"},
            },
            "timm.x": {
                "full_name": "timm:x",
                "pictures": {"crop": 0.95, "interpolation": "bicubic"},
            },
        },
    }
    table = pd.DataFrame({"model": ["alexnet", "keras.VGG16"], "top1_percent": [50.0, 60.0]})
    beside = with_published(table, manifest)
    assert list(beside) == ["model", "top1_percent", "published_top1_percent"]
    assert beside["published_top1_percent"].tolist()[1] == 71.3
    assert with_published(table, {}) is table
    assert full_names(manifest) == {"keras.VGG16": "keras:VGG16", "timm.x": "timm:x"}
    said = other_pictures(manifest)
    assert "--preprocessing=study" in said and "timm.x (bicubic, 95 %)" in said
    manifest["weights"]["timm.x"]["pictures"] = {"crop": 0.875, "interpolation": "bilinear"}
    manifest["settings"]["preprocessing"] = "resize-256-crop"
    assert other_pictures(manifest) == ""
