"""keras.applications with random weights, saved by Keras and converted: the same logits from the
same picture, or a reason.
"""

import gc
import json
import shutil

import jax
import keras
import numpy as np
import pytest
from converted import spoil

from model_ports import registry
from model_ports.convert import keras_h5, originals_keras, same_function, sources
from model_ports.errors import InputError

applications = keras.applications

pytestmark = pytest.mark.frameworks

PIXELS = {"vgg_16": 224, "vgg_19": 224, "inception_v3": 139, "inception_resnet_v2": 139}
PIXELS |= {"mobilenet_v1_025": 128, "mobilenet_v1_050": 160, "mobilenet_v1_100": 96}
# An array, and the layer before it. Keras's VGG has its activations inside its layers, whose
# outputs are compared without.
WRONG = {
    "vgg_16": ("fc8/kernel", "fc7"),
    "mobilenet_v1_025": ("layers/pointwise_3/convolution/kernel", "layers/depthwise_3/norm"),
    "mobilenet_v1_050": ("layers/depthwise_9/norm/mean", "layers/depthwise_9/convolution"),
}


def original(model: str):
    """The network with random weights that keep the size of what passes, normalisation's
    included.
    """
    (name, settings, _), size = originals_keras.NETWORKS[model], PIXELS[model]
    net = getattr(applications, name)(
        weights=None, classifier_activation=None, input_shape=(size, size, 3), **settings
    )
    random = np.random.default_rng(1)
    for weight in net.weights:
        layer, part = weight.path.split("/")[-2:]
        shape = tuple(weight.shape)
        if part == "kernel":
            fan_in = shape[0] * shape[1] if "_dw_" in layer else np.prod(shape[:-1])
            value = random.standard_normal(shape, np.float32) * np.sqrt(2 / fan_in)
        elif part in ("gamma", "moving_variance"):
            value = random.uniform(0.6, 1.4, shape)
        else:
            value = 0.2 * random.standard_normal(shape)
        weight.assign(value.astype(np.float32))
    return net


def test_all_that_are_said_to_be_the_same_are_run():
    same = {
        model
        for model, verdicts in same_function.VERDICTS.items()
        if verdicts["keras"] == same_function.SAME
    }
    assert PIXELS.keys() == keras_h5.ROWS.keys() == originals_keras.NETWORKS.keys() == same


@pytest.mark.few("inception_v3", slow=())
@pytest.mark.parametrize("model", PIXELS)
def test_converted_it_is_the_same_function(tmp_path, command, model):
    """Logits of the 1000 classes and the input gradient, each with its own preprocessing; then a
    layer of some is wrong.
    """
    net = original(model)
    net.save_weights(tmp_path / "net.weights.h5")
    del net
    gc.collect()
    common = [f"--model={model}", "--source=net.weights.h5", "--weights_dir=converted"]
    status, out, error = command("convert", *common)
    assert status == 0 and f"{model} from net.weights.h5 (Keras HDF5)" in out, error
    common += [f"--input_size={PIXELS[model]}", "--save=report.json"]
    status, out, error = command("validate", *common)
    assert status == 0 and "the same function within tolerance" in out, out + error
    report = json.loads((tmp_path / "report.json").read_text())
    assert (
        report["input"].startswith("keras.applications.")
        and report["overall"]["gradient_cosine"] > 0.999
    )
    if model in WRONG:
        path, before = WRONG[model]
        spoil(tmp_path / "converted" / model, path)
        status, out, _ = command("validate", *common)
        assert (
            status == 1 and f"first layer that differs: {path.rpartition('/')[0]}, node " in out
        ), out
        assert f"; {before} before it agrees" in out, out
    shutil.rmtree(tmp_path)  # half a gigabyte


@pytest.mark.parametrize("ending", ["whole.h5", "whole.keras", "old.weights"])
def test_double_precision_leaves_nothing_but_rounding(tmp_path, command, ending):
    """Also from a file of the whole network, and from one whose name says nothing of its format."""
    net = original("mobilenet_v1_025")
    if ending.startswith("whole"):
        net.save(tmp_path / ending)
    else:
        net.save_weights(tmp_path / "net.weights.h5")
        (tmp_path / "net.weights.h5").rename(tmp_path / ending)
    status, out, error = command(
        "validate",
        "--model=mobilenet_v1_025",
        f"--source={ending}",
        "--input_size=128",
        "--float64",
        "--save=report.json",
    )
    assert status == 0, out + error
    overall = json.loads((tmp_path / "report.json").read_text())["overall"]
    assert (
        overall["relative_logit_difference"] < 1e-12
        and overall["relative_gradient_difference"] < 1e-11
    )


def test_layers_without_names_may_be_numbered_from_anywhere(tmp_path):
    """Keras goes on counting from one network to the next."""
    first = original("inception_v3")
    second = original("inception_v3")
    numbers = [
        int(layer.name.rpartition("_")[2])
        for layer in second.layers
        if layer.name.startswith("conv2d_")
    ]
    assert min(numbers) > 0
    network = registry.network("inception_v3", zoo="imagenet")
    params = []
    for net in (first, second):
        net.save_weights(tmp_path / "net.weights.h5")
        params.append(sources.parameters(tmp_path / "net.weights.h5", network))
    jax.tree.map(np.testing.assert_array_equal, *params)


def test_what_is_not_the_same_is_refused(tmp_path):
    """Another function is refused unread; then a network without its classifier, of another width,
    or another altogether.
    """
    net = applications.MobileNet(
        weights=None, alpha=0.25, input_shape=(128, 128, 3), include_top=False
    )
    net.save_weights(tmp_path / "net.weights.h5")
    for model, words in (
        ("resnet_v2_50", same_function.VERDICTS["resnet_v2_50"]["keras"]),
        ("mobilenet_v1_025", "conv_preds is missing"),
        ("mobilenet_v1_050", "shape"),
        ("vgg_16", "fc1 is missing"),
    ):
        source = tmp_path / "net.weights.h5"
        if model == "mobilenet_v1_050":
            source = tmp_path / "other.weights.h5"
            applications.MobileNet(
                weights=None, alpha=0.25, input_shape=(128, 128, 3)
            ).save_weights(source)
        with pytest.raises(InputError) as caught:
            sources.parameters(source, registry.network(model, zoo="imagenet"))
        assert words in str(caught.value) and "\n" not in str(caught.value)


class TestHostileFiles:
    """HDF5 can point outside, and say that it is larger than it is."""

    @pytest.fixture
    def h5py(self):
        import h5py

        return h5py

    def refusal(self, path, *words):
        with pytest.raises(InputError) as caught:
            sources.read(path, limit=2**20)
        line = str(caught.value)
        assert path.name in line and "\n" not in line and all(word in line for word in words), line

    def test_links_to_other_files(self, tmp_path, h5py):
        with h5py.File(tmp_path / "secret.h5", "w") as file:
            file["kernel"] = np.ones(3, np.float32)
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file["conv1/kernel"] = h5py.ExternalLink("secret.h5", "/kernel")
            file["conv2/kernel"] = h5py.SoftLink("/conv1/kernel")
        self.refusal(tmp_path / "m.h5", "another file")

    def test_data_outside_the_file(self, tmp_path, h5py):
        (tmp_path / "secret").write_bytes(bytes(12))
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.create_dataset(
                "conv1/kernel", (3,), "f4", external=[(str(tmp_path / "secret"), 0, 12)]
            )
        self.refusal(tmp_path / "m.h5", "another file")

    @pytest.mark.parametrize(
        ("index", "size"), [(0, 0), (0, 8), (0, 2**40), (1, 2**64 - 16), (1, 2**63)]
    )
    def test_a_heap_that_never_ends(self, tmp_path, h5py, index, size):
        """The HDF5 library would read the first for ever."""
        path = tmp_path / "m.weights.h5"
        with h5py.File(path, "w") as file:
            variables = file.create_group("layers/conv2d/vars")
            variables["0"] = np.ones(3, np.float32)
            variables.attrs["name"] = "conv1"
        assert list(keras_h5.read(path)) == ["conv1/kernel"]
        content = bytearray(path.read_bytes())
        first = content.index(b"GCOL") + 16
        content[first : first + 2] = index.to_bytes(2, "little")
        content[first + 8 : first + 16] = size.to_bytes(8, "little")
        path.write_bytes(content)
        self.refusal(path, "damaged", "heap")

    def test_a_bomb_of_zeros(self, tmp_path, h5py):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.create_dataset("conv1/kernel", (2**34,), "f4", chunks=(2**20,), compression="gzip")
        self.refusal(tmp_path / "m.h5", "larger than")

    @pytest.mark.parametrize(("dtype", "word"), [("f2", "half precision"), ("i4", "int32")])
    def test_other_types(self, tmp_path, h5py, dtype, word):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.create_dataset("conv1/kernel", (3,), dtype)
        self.refusal(tmp_path / "m.h5", word)

    def test_not_finite_and_cut_short(self, tmp_path, h5py):
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file["conv1/kernel"] = np.full(999, np.nan, np.float32)
        self.refusal(tmp_path / "m.h5", "NaN")
        (tmp_path / "m.h5").write_bytes((tmp_path / "m.h5").read_bytes()[:3000])
        self.refusal(tmp_path / "m.h5", "damaged")
