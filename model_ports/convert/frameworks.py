"""Imports the originals' frameworks when they are needed.

For a missing one, the error names the extra.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import types

from model_ports.errors import InputError


def tensorflow():
    """Import TensorFlow.

    Raises:
        InputError: if it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # The convolutions of oneDNN round differently from those of the study's time.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow
    except ImportError:
        raise _missing("TensorFlow", "tf") from None
    return tensorflow


def keras():
    """Import Keras on TensorFlow, with channels last.

    Raises:
        InputError: if it is not installed, or if another program part uses it on another back end.
    """
    tensorflow()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        import keras
    except ImportError:
        raise _missing("Keras", "tf") from None
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras was imported on {keras.backend.backend()}, and TensorFlow is needed: set "
            "KERAS_BACKEND=tensorflow"
        )
    keras.config.set_image_data_format("channels_last")
    return keras


def timm():
    """Import timm.

    timm imports transforms and data sets from torchvision. Its networks use none of them. If
    torchvision is missing, or if it does not fit PyTorch, a stand-in replaces it during the import.

    Raises:
        InputError: if PyTorch or timm is not installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError:
        raise _missing("PyTorch", "torch") from None
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError):  # RuntimeError: it was built for another PyTorch
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
