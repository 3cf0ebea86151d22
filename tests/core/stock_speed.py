"""Gradients of networks of stock layers: with fast layers, without them, and PyTorch's.

python tests/core/stock_speed.py

It prints the processor's milliseconds of a gradient, and the speed relative to PyTorch (channels
last) where that is installed. All take turns on one thread.
"""

import os
import time
from collections.abc import Callable

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxadv.core import fast_layers, oracle

TURNS = 9
NETWORKS = {
    "32 pixels, 32 images": (32, 32, [(3, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 2)]),
    "224 pixels, 4 images": (
        *(224, 4),
        [(3, 64, 2), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)],
    ),
}
"""Pixels, images of a call, and of each 3x3 convolution its inputs, outputs and stride."""
NUMBERS = ("NHWC", "HWIO", "NHWC")


def made(channels: list[tuple[int, int, int]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Kernels of the convolutions, and of the last layer."""
    draw = np.random.default_rng(0)
    kernels = [
        (draw.standard_normal((3, 3, i, o)) * np.sqrt(2 / 9 / i)).astype(np.float32)
        for i, o, _ in channels
    ]
    return kernels, draw.standard_normal((channels[-1][1], 10)).astype(np.float32) * 0.1


def stock(channels: list[tuple[int, int, int]]) -> Callable:
    """The network: convolutions with relu, a maximum after the second, a mean, a linear layer."""

    def apply(params, images):
        x = images
        for number, (kernel, (_, _, stride)) in enumerate(zip(params[0], channels, strict=True)):
            pads = ((1, 1), (1, 1))
            strides = (stride, stride)
            x = lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=NUMBERS)
            x = jax.nn.relu(x)
            if number == 1:
                x = lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        return x.mean((1, 2)) @ params[1]

    return apply


def gradient(apply: Callable, params, images: np.ndarray, options: dict) -> Callable[[], None]:
    """A call that takes the gradient of the first logit."""
    weights = jnp.zeros((len(images), 10)).at[:, 0].set(1)
    program = jax.jit(
        lambda params, x: jax.vjp(lambda x: apply(params, x), x)[1](weights)[0],
        compiler_options=options,
    )
    return lambda: program(params, images).block_until_ready()


def pytorch(params, channels, images: np.ndarray) -> Callable[[], None]:
    """The same of the same network in PyTorch."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    last = torch.channels_last
    kernels = [
        torch.tensor(kernel.transpose(3, 2, 0, 1).copy()).to(memory_format=last)
        for kernel in params[0]
    ]
    linear = torch.tensor(params[1])
    pictures = torch.tensor(images.transpose(0, 3, 1, 2).copy()).to(memory_format=last)

    def call():
        x = start = pictures.clone().requires_grad_(True)
        for number, (kernel, (_, _, stride)) in enumerate(zip(kernels, channels, strict=True)):
            x = torch.relu(functional.conv2d(x, kernel, stride=stride, padding=1))
            if number == 1:
                x = functional.max_pool2d(x, 2)
        (x.mean((2, 3)) @ linear)[:, 0].sum().backward()
        return start.grad

    return call


def main() -> None:
    for name, (size, count, channels) in NETWORKS.items():
        params, apply = made(channels), stock(channels)
        images = np.random.default_rng(1).random((count, size, size, 3), np.float32)
        options = oracle.compiler_options()
        calls = {
            "fast layers": gradient(fast_layers.rewritten(apply), params, images, options),
            "stock layers": gradient(apply, params, images, options),
        }
        try:
            calls["PyTorch"] = pytorch(params, channels, images)
        except ImportError:
            print("PyTorch is not installed")
        seconds: dict[str, list[float]] = {what: [] for what in calls}
        for call in calls.values():
            call()
        for _ in range(TURNS):
            for what, call in calls.items():
                began = time.process_time()
                call()
                seconds[what].append(time.process_time() - began)
        middle = {what: float(np.median(each)) for what, each in seconds.items()}
        for what, each in middle.items():
            share = f", {middle['PyTorch'] / each:.2f} of PyTorch" if "PyTorch" in middle else ""
            print(f"{name}: {what} {1000 * each:.1f} ms{share}")


if __name__ == "__main__":
    main()
