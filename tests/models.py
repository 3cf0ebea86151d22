"""Small classifiers whose answers are known, and the exact optima of linear ones."""

import jax.numpy as jnp
import numpy as np

import jaxadv

SIZE = 8
PIXELS = SIZE * SIZE * 3


def linear_apply(params, images):
    """images (N, S, S, 3) -> (N, K): pixels @ weights + bias."""
    return images.reshape(images.shape[0], -1) @ params["weights"] + params["bias"].reshape(1, -1)


def linear(weights, bias=None, *, apply=linear_apply, name="linear") -> jaxadv.Classifier:
    """A linear classifier; weights (S * S * 3, K), bias (K,)."""
    weights = np.asarray(weights, np.float32)
    bias = np.zeros(weights.shape[1], np.float32) if bias is None else np.asarray(bias, np.float32)
    side = round((weights.shape[0] / 3) ** 0.5)
    params = {"weights": weights, "bias": bias}
    return jaxadv.Classifier(
        apply, params, input_size=side, num_classes=weights.shape[1], name=name
    )


def random_linear(seed: int, classes: int, *, scale: float = 0.1, **kwargs) -> jaxadv.Classifier:
    """A linear classifier with normal weights of standard deviation ``scale``, each class's logit 0
    at mid-grey.
    """
    weights = (
        np.random.default_rng(seed).normal(size=(PIXELS, classes), scale=scale).astype(np.float32)
    )
    return linear(weights, -0.5 * weights.sum(0), **kwargs)


def inner_images(seed: int, count: int, *, width: float = 0.1) -> np.ndarray:
    """Images (count, S, S, 3) with pixels within ``width`` of mid-grey, well inside the pixel
    range.
    """
    pixels = np.random.default_rng(seed).uniform(
        0.5 - width, 0.5 + width, size=(count, SIZE, SIZE, 3)
    )
    return pixels.astype(np.float32)


def nan_where_dark(params, images):
    """`linear_apply`, but NaN for an image whose first pixel is below 0.5."""
    return jnp.where(images[:, :1, 0, 0] < 0.5, jnp.nan, linear_apply(params, images))


def least_l1(image, slope, need: float) -> float:
    """The least ||d||_1 with slope . d >= need and image + d in [0, 1]: the steepest pixels go all
    the way first.
    """
    image, slope = np.asarray(image, np.float64).ravel(), np.asarray(slope, np.float64).ravel()
    room = np.where(slope > 0, 1 - image, image)
    total = 0.0
    for pixel in np.argsort(-np.abs(slope)):
        step = min(room[pixel], need / abs(slope[pixel]))
        total += step
        need -= step * abs(slope[pixel])
        if need <= 1e-12:
            return total
    return np.inf


def least_l2(image, slope, need: float) -> float:
    """The least ||d||_2 with slope . d >= need and image + d in [0, 1]: d = clip(multiplier *
    slope), by bisection.
    """
    image, slope = np.asarray(image, np.float64).ravel(), np.asarray(slope, np.float64).ravel()

    def move(multiplier):
        return np.clip(image + multiplier * slope, 0, 1) - image

    low, high = 0.0, 1.0
    while slope @ move(high) < need:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope @ move(middle) < need else (low, middle)
    return float(np.linalg.norm(move(high)))
