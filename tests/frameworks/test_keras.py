"""keras.applications with random weights, saved by Keras and converted: the same logits from the same picture, or a reason."""

import gc

import jax
import keras
import numpy as np
import pytest

from model_ports import registry
from model_ports.convert import keras_h5, same_function, sources
from model_ports.errors import InputError

applications = keras.applications

pytestmark = pytest.mark.frameworks

# port -> (what Keras calls it, its own settings, its preprocessing, pixels)
NETWORKS = {
    "vgg_16": ("VGG16", {}, "vgg16", 224),
    "vgg_19": ("VGG19", {}, "vgg19", 224),
    "inception_v3": ("InceptionV3", {}, "inception_v3", 139),
    "inception_resnet_v2": ("InceptionResNetV2", {}, "inception_resnet_v2", 139),
    "mobilenet_v1_025": ("MobileNet", {"alpha": 0.25}, "mobilenet", 128),
    "mobilenet_v1_050": ("MobileNet", {"alpha": 0.5}, "mobilenet", 160),
    "mobilenet_v1_100": ("MobileNet", {"alpha": 1.0}, "mobilenet", 96),
}


def original(model: str):
    """The network with random weights that keep the size of what passes, normalisation's included."""
    name, settings, _, size = NETWORKS[model]
    net = getattr(applications, name)(weights=None, classifier_activation=None, input_shape=(size, size, 3), **settings)
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


def rows_of(model: str) -> np.ndarray:
    size = NETWORKS[model][3]
    return np.random.default_rng(2).uniform(size=(1, size, size, 3)).astype(np.float32)


def test_all_that_are_said_to_be_the_same_are_run():
    assert NETWORKS.keys() == keras_h5.ROWS.keys()


@pytest.mark.parametrize("model", NETWORKS)
def test_the_same_function(tmp_path, model):
    net, images = original(model), rows_of(model)
    prepared = getattr(applications, NETWORKS[model][2]).preprocess_input(255.0 * images)
    expected = np.asarray(net(prepared, training=False))
    path = tmp_path / "net.weights.h5"
    net.save_weights(path)
    files = [path]
    if "mobilenet" in model:
        net.save(tmp_path / "whole.h5")
        files.append(tmp_path / "whole.h5")
    del net
    gc.collect()
    network = registry.network(model, zoo="imagenet", input_size=NETWORKS[model][3])
    for file in files:
        with jax.default_matmul_precision("highest"):
            logits = np.asarray(jax.jit(network.apply)(sources.parameters(file, network), images))
        classes = logits[:, network.label_offset :]
        # VGG: Keras's means differ from TF-Slim's by 0.001 of 255, which is 7e-6 of the logits.
        assert np.linalg.norm(classes - expected) < 1e-5 * np.linalg.norm(expected)
        if network.label_offset:
            np.testing.assert_allclose(logits[:, 0], classes.mean(1), atol=1e-5 * np.abs(classes).max())


def test_layers_without_names_may_be_numbered_from_anywhere(tmp_path):
    """Keras goes on counting from one network to the next."""
    first = original("inception_v3")
    second = original("inception_v3")
    numbers = [int(layer.name.rpartition("_")[2]) for layer in second.layers if layer.name.startswith("conv2d_")]
    assert min(numbers) > 0
    network = registry.network("inception_v3", zoo="imagenet")
    params = []
    for net in (first, second):
        net.save_weights(tmp_path / "net.weights.h5")
        params.append(sources.parameters(tmp_path / "net.weights.h5", network))
    jax.tree.map(np.testing.assert_array_equal, *params)


def test_what_is_not_the_same_is_refused(tmp_path):
    """Another function is refused unread; then a network without its classifier, of another width, or another altogether."""
    net = applications.MobileNet(weights=None, alpha=0.25, input_shape=(128, 128, 3), include_top=False)
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
            applications.MobileNet(weights=None, alpha=0.25, input_shape=(128, 128, 3)).save_weights(source)
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
        self.refusal(tmp_path / "m.h5", "without layers")

    def test_data_outside_the_file(self, tmp_path, h5py):
        (tmp_path / "secret").write_bytes(bytes(12))
        with h5py.File(tmp_path / "m.h5", "w") as file:
            file.create_dataset("conv1/kernel", (3,), "f4", external=[(str(tmp_path / "secret"), 0, 12)])
        self.refusal(tmp_path / "m.h5", "another file")

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
