"""The networks of keras.applications, with their own preprocessing."""

import importlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxadv.core.classifier import Classifier

TOP1_PERCENT = {
    "Xception": 79.0,
    "VGG16": 71.3,
    "VGG19": 71.3,
    "ResNet50": 74.9,
    "ResNet50V2": 76.0,
    "ResNet101": 76.4,
    "ResNet101V2": 77.2,
    "ResNet152": 76.6,
    "ResNet152V2": 78.0,
    "InceptionV3": 77.9,
    "InceptionResNetV2": 80.3,
    "MobileNet": 70.4,
    "MobileNetV2": 71.3,
    "DenseNet121": 75.0,
    "DenseNet169": 76.2,
    "DenseNet201": 77.3,
    "NASNetMobile": 74.4,
    "NASNetLarge": 82.5,
    "EfficientNetB0": 77.1,
    "EfficientNetB1": 79.1,
    "EfficientNetB2": 80.1,
    "EfficientNetB3": 81.6,
    "EfficientNetB4": 82.9,
    "EfficientNetB5": 83.6,
    "EfficientNetB6": 84.0,
    "EfficientNetB7": 84.3,
    "EfficientNetV2B0": 78.7,
    "EfficientNetV2B1": 79.8,
    "EfficientNetV2B2": 80.5,
    "EfficientNetV2B3": 82.0,
    "EfficientNetV2S": 83.9,
    "EfficientNetV2M": 85.3,
    "EfficientNetV2L": 85.7,
    "ConvNeXtTiny": 81.3,
    "ConvNeXtSmall": 82.3,
    "ConvNeXtBase": 85.3,
    "ConvNeXtLarge": 86.3,
    "ConvNeXtXLarge": 86.7,
}
"""Top-1 on ImageNet's validation set, in percent, as the table of its documentation has it."""


def applications(keras: Any) -> dict[str, Callable[..., Any]]:
    """The functions of keras.applications that make networks, by name."""
    found = vars(keras.applications).items()
    return {name: make for name, make in found if name[0].isupper() and callable(make)}


def preprocess_of(make: Callable[..., Any]) -> Callable[[Any], Any]:
    """What a network of keras.applications does to pixels of 0..255 first."""
    return importlib.import_module(make.__module__).preprocess_input


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def application_of(keras: Any, model: Any) -> Callable[..., Any] | None:
    """What made a network of keras.applications, by the name that it gives it."""
    known, name = applications(keras), _letters(model.name)
    fitting = [each for each in known if name.startswith(_letters(each))]
    return known[max(fitting, key=len)] if fitting else None


def application(request: Any) -> Classifier:
    """A network of keras.applications by its name there, upper and lower case alike.

    Args:
        request: a `jaxadv.foreign.request.Request`.

    Raises:
        InputError: see `from_keras`; or there is no such network, or no connection for its weights.
    """
    from jaxadv.foreign.keras_models import from_keras, import_keras
    from jaxadv.foreign.request import fetched, unknown_network

    keras = import_keras()
    known = applications(keras)
    what = next((name for name in known if name.lower() == request.what.lower()), None)
    if what is None:
        raise unknown_network(request.full, known, "keras.io/api/applications")
    settings: dict[str, Any] = {"weights": "imagenet" if request.pretrained else None}
    if request.input_size:
        settings["input_shape"] = (request.input_size, request.input_size, 3)
    if not request.pretrained and request.num_classes:
        settings["classes"] = request.num_classes
    keras.config.set_image_data_format("channels_last")
    model = fetched(
        request,
        lambda: _fixed_seed(keras, lambda: known[what](classifier_activation=None, **settings)),
    )
    facts: dict[str, Any] = {"full_name": request.full}
    if request.pretrained:
        facts["weights"] = "imagenet"
        if what in TOP1_PERCENT:
            facts["published"] = {
                "top1_percent": TOP1_PERCENT[what],
                "source": "keras.io/api/applications",
            }
    return from_keras(model, preprocess=preprocess_of(known[what]), name=request.name, facts=facts)


def _fixed_seed(keras: Any, make: Callable[[], Any]) -> Any:
    """Fresh weights are the same in every process; the generators of others stay as they are."""
    before = random.getstate(), np.random.get_state()
    try:
        keras.utils.set_random_seed(0)
        return make()
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
