"""A classifier's devices, its batches, and the weights that it has."""

import jax
import numpy as np
import pytest
from models import inner_images, random_linear

from jaxadv.core import classifier as classifier_module
from jaxadv.core.classifier import Classifier, on_device
from model_ports.errors import InputError


def test_two_classes_are_enough_and_the_facts_are_kept():
    one = Classifier(
        lambda params, images: images.mean((1, 2))[:, :2],
        (),
        input_size=1,
        num_classes=2,
        name="one",
        facts={"accuracy": 0.5},
    )
    assert one.label_offset == 0 and one.facts == {"accuracy": 0.5}
    assert random_linear(0, 4).facts == {}
    with pytest.raises(InputError, match="num_classes"):
        random_linear(0, 1)


def test_background_columns_come_before_the_classes():
    def apply(params, images):
        return images.mean((1, 2))

    given = {"input_size": 1, "num_classes": 2, "name": "one", "label_offset": 1}
    image = np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 1, 1, 3)
    one = Classifier(apply, (), **given)
    np.testing.assert_array_equal(one.logits(image), image[0, 0, :, 1:])
    np.testing.assert_array_equal(one.raw_logits(image), image[0, 0])
    Classifier(None, (), **given, outputs=3)
    with pytest.raises(InputError, match=r"shape \(1, 2\) for one image; \(1, 3\) is needed"):
        Classifier(None, (), **given, outputs=2)


def test_the_last_batch_is_filled_with_copies_of_its_first_image():
    one, images = random_linear(0, 4), inner_images(1, 5)
    batches = list(one.batches(images, 3))
    assert [(filled.shape[0], count) for _, filled, count in batches] == [(3, 3), (3, 2)]
    np.testing.assert_array_equal(batches[0][1], images[:3])
    np.testing.assert_array_equal(batches[1][1], images[[3, 4, 3]])
    assert [len(part) for part in one.logits_of_batches(images, 3)] == [3, 2]
    np.testing.assert_allclose(one.logits_in_batches(images, 3), one.logits(images), rtol=1e-5)
    assert one.logits_in_batches(images[:0], 3).shape == (0, 4)


def test_grey_is_in_the_middle():
    images, objectives = random_linear(0, 4).grey(2)
    assert images.shape == (2, 8, 8, 3) and (images == 0.5).all()
    assert objectives.weights.shape == (2, 4) and not objectives.weights.any()


@pytest.mark.parametrize(("count", "is_set"), [(1, False), (2, True)])
def test_a_single_device_is_not_named_to_jax(monkeypatch, count, is_set):
    """JAX would trace and compile again."""
    device = jax.devices()[0]
    monkeypatch.setattr(classifier_module.jax, "local_devices", lambda: [device] * count)
    with on_device(device):
        assert (jax.config.jax_default_device is device) == is_set


def test_programs_are_compiled_for_what_they_are_asked(monkeypatch):
    """Logits take images alone; gradients take objectives, too. The copy of each device is used."""
    one = random_linear(0, 4).awake()
    monkeypatch.setattr(Classifier, "devices", jax.local_devices()[:1] * 2)
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(one.oracle, "logits", lambda *given: asked.append(("logits", len(given))))
    monkeypatch.setattr(one.oracle, "ask", lambda *given: asked.append(("ask", len(given))))
    one.compile(2)
    assert asked == [("logits", 2)] * 2 + [("ask", 3)] * 2
    asked.clear()
    one.compile(2, ["ask"])
    assert asked == [("ask", 3)] * 2


def test_another_gradient_precision_is_another_classifier():
    one = random_linear(0, 4)
    assert one.with_gradient_precision(one.oracle.gradient_precision) is one
    other = one.with_gradient_precision("bfloat16")
    assert other is not one and other.oracle.gradient_precision == "bfloat16"
    assert other.with_stock_layers().oracle.gradient_precision == "bfloat16"


def test_weights_of_gradients_have_a_row_for_each_image():
    one, images = random_linear(0, 4), inner_images(1, 3)
    for shape in ((3, 3), (2, 4), (4,)):
        with pytest.raises(InputError, match=r"\(3, 4\) is needed"):
            one.logits_and_gradient(images, np.zeros(shape))


def test_weights_rest_with_the_host_or_are_awake_on_the_device():
    one = random_linear(0, 4)
    resting, awake = one.at_rest(), one.awake()
    assert resting.is_at_rest and not awake.is_at_rest
    assert awake.awake() is awake and not resting.awake().is_at_rest
    assert one.bytes == resting.bytes == (8 * 8 * 3 + 1) * 4 * 4
