"""timm's networks, which PyTorch executes on the CPU to compare a port with them.

timm builds the network, and loads a state dict into it. This comes from a `.pth`, a pickle of which
only tensors are read (`torch_state`), or from `.safetensors`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from model_ports import registry
from model_ports.convert import frameworks, same_function, sources, torch_state
from model_ports.convert.foreign import places
from model_ports.errors import InputError, said
from model_ports.registry import ModelSpec

BATCH = 4


class Original:
    """A network with its weights. It maps images (N, S, S, 3) in [0, 1] to logits (N, outputs).

    For the attributes see `originals.Original`.
    """

    # Kernels have taken gammas in single precision.
    least_tolerances = (1e-6, 1e-6)

    def __init__(
        self, path: str | Path, spec: ModelSpec, *, size: int | None = None, double: bool = False
    ):
        """Build the network, and load its weights.

        Args:
            path: a state dict, as .pth or .safetensors.
            spec: the network.
            size: the side of the images, in pixels; None for the network's own.
            double: True to execute the network in double precision.

        Raises:
            InputError: if the file has other weights, if the network is another function in
                PyTorch, or if PyTorch or timm is not installed.
        """
        self.path = Path(path)
        same_function.check(spec.name, "torch", path)
        self.size = registry.network(spec.name, zoo="imagenet", input_size=size).input_size
        arrays = torch_state.without_prefix(sources.read(path), spec.name)
        timm = frameworks.timm()
        import torch

        self._torch = torch
        rows = torch_state.ROWS[spec.name]()
        [last] = [row.layer for row in rows if row.kind == "logits"]
        self.outputs = len(arrays.get(f"{last}.bias", range(1000)))
        self.input = f"timm's {spec.name}"
        self.logits = last
        self._net: Any = timm.create_model(
            spec.name, pretrained=False, num_classes=self.outputs
        ).eval()
        self._load(arrays, spec.name)
        if double:
            self._net.double()
        kind = torch.float64 if double else torch.float32
        self._mean, self._std = (
            torch.tensor(self._net.default_cfg[key], dtype=kind).view(3, 1, 1)
            for key in ("mean", "std")
        )
        self._places = places(rows, spec.weight_map)
        self.layers = {path: place.layer for path, place in self._places.items()}

    def _load(self, arrays: dict[str, np.ndarray], model: str) -> None:
        state = {
            name: self._torch.tensor(array)
            for name, array in arrays.items()
            if not torch_state.UNUSED.fullmatch(name)
        }
        try:
            missing, unexpected = self._net.load_state_dict(state, strict=False)
        except RuntimeError as error:  # shapes do not fit
            reason = said(error)
            raise InputError(
                f"{self.path} cannot be loaded by PyTorch as {model}: {reason}; give the weights "
                "of this very model"
            ) from None
        problems = [
            f"{name} is missing" for name in missing if not torch_state.UNUSED.fullmatch(name)
        ]
        problems += [f"{name} has no place" for name in unexpected]
        if problems:
            raise InputError(
                f"{self.path} does not fit timm's {model}: "
                f"{'; '.join(problems[:8])}{' ...' if len(problems) > 8 else ''};"
                " give the weights of this very model"
            )

    def logits_and_gradient(
        self, pixels: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits and a gradient.

        Args:
            pixels: (N, S, S, 3) in [0, 1].
            weights: (N, outputs).

        Returns:
            Logits (N, outputs), and for each image the gradient (N, S, S, 3) of the sum of
            weights * logits.
        """
        parts = []
        for start in range(0, len(pixels), BATCH):
            images = self._torch.from_numpy(pixels[start : start + BATCH]).requires_grad_()
            logits = self._logits(images)
            total = (logits * self._torch.from_numpy(weights[start : start + BATCH])).sum()
            [gradient] = self._torch.autograd.grad(total, images)
            parts.append((logits.detach().numpy(), gradient.numpy()))
        return np.concatenate([part[0] for part in parts]), np.concatenate(
            [part[1] for part in parts]
        )

    def _logits(self, images):
        try:
            return self._net((images.permute(0, 3, 1, 2) - self._mean) / self._std)
        except RuntimeError as error:
            raise InputError(
                f"timm's network cannot run at {self.size} pixels: {said(error)}"
            ) from None

    def outputs_of_layers(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Compute the outputs of the layers.

        A convolution's output is multiplied by the gamma that the port's kernel has taken. A
        normalisation's output is the one before the activation, which timm has in the same module.

        Args:
            pixels: one image (1, S, S, 3) in [0, 1].

        Returns:
            The outputs by the layer's path in the port, with channels last, in PyTorch's order.
        """
        outputs: dict[str, np.ndarray] = {}
        handles = [self._watch(path, outputs) for path in self._places]
        try:
            with self._torch.no_grad():
                self._logits(self._torch.from_numpy(pixels))
        finally:
            for handle in handles:
                handle.remove()
        return outputs

    def _watch(self, path: str, outputs: dict[str, np.ndarray]):
        place = self._places[path]
        module = self._net.get_submodule(place.layer)
        gamma = (
            1.0
            if place.scaled_by is None
            else self._net.get_submodule(place.scaled_by).weight.view(-1, 1, 1)
        )

        def keep(tensor) -> None:
            outputs[path] = (tensor * gamma).movedim(1, -1).numpy()

        if hasattr(module, "act"):
            return module.act.register_forward_pre_hook(
                lambda module, arguments: keep(arguments[0])
            )
        return module.register_forward_hook(lambda module, arguments, output: keep(output))

    def close(self) -> None:
        """Do nothing. Other originals have to free a session."""
