"""The originals' frameworks, imported when they are first needed; a missing one is one line that names the extra."""

import importlib.abc
import importlib.machinery
import os
import sys
import types

from model_ports.errors import InputError


def tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault(
        "TF_ENABLE_ONEDNN_OPTS", "0"
    )  # its convolutions round otherwise than those of the study's time
    try:
        import tensorflow
    except ImportError:
        raise _missing("TensorFlow", "tf") from None
    return tensorflow


def keras():
    """Keras on TensorFlow, channels last."""
    tensorflow()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        import keras
    except ImportError:
        raise _missing("Keras", "tf") from None
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras was imported on {keras.backend.backend()}, and TensorFlow is needed: set KERAS_BACKEND=tensorflow"
        )
    keras.config.set_image_data_format("channels_last")
    return keras


def timm():
    """timm, with a stand-in for torchvision while it is imported where that is not there or of another build than PyTorch.

    timm takes transforms and data sets from it, of which its networks use nothing.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise _missing("PyTorch", "torch") from None
    try:
        import torchvision  # noqa: F401
    except (
        ImportError,
        RuntimeError,
        OSError,
    ):  # another build: its compiled operations are not found
        _forget_torchvision()
        stand_in = _StandIn()
        sys.meta_path.insert(0, stand_in)
    else:
        stand_in = None
    try:
        import timm
    except ImportError:
        raise _missing("timm", "torch") from None
    finally:
        if stand_in is not None:
            sys.meta_path.remove(stand_in)
            _forget_torchvision()
    return timm


def _missing(name: str, extra: str) -> InputError:
    return InputError(
        f"the original runs in {name}, which is not installed: pip install 'jaxadv[{extra}]'"
    )


def _forget_torchvision() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module of torchvision, with every name in it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


class _Anything(type):
    """A class whose every attribute is another such class."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Module(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})
