"""Converts pixels in [0, 1] to what each family was trained on.

The study gives x = pixel - 0.5 to its networks. Its released code writes these functions as 2 x,
255 (x + 0.5) - means, and so on. Here they are written for pixels in [0, 1]. All functions take and
return (N, H, W, 3), with RGB on entry, and keep the dtype.
"""

import jax
import jax.numpy as jnp

# The mean of ImageNet's training images, 0..255. RGB_MEANS is from the VGG release, BGR_MEANS from
# the AlexNet conversion's ilsvrc_2012 mean.
RGB_MEANS = (123.68, 116.78, 103.94)
BGR_MEANS = (104.0, 117.0, 124.0)


def _less(images: jax.Array, means: tuple[float, float, float]) -> jax.Array:
    return images - jnp.asarray(means, images.dtype).reshape(1, 1, 1, 3)


def inception(images: jax.Array) -> jax.Array:
    """Convert to [-1, 1]."""
    return 2.0 * images - 1.0


def vgg(images: jax.Array) -> jax.Array:
    """Convert to 0..255 minus the mean of each channel."""
    return _less(255.0 * images, RGB_MEANS)


def densenet(images: jax.Array) -> jax.Array:
    """Convert as for VGG, times 0.017."""
    return 0.017 * vgg(images)


def alexnet(images: jax.Array) -> jax.Array:
    """Convert to BGR, 0..255 minus the mean of each channel."""
    return _less(255.0 * images[..., ::-1], BGR_MEANS)


PREPROCESSING = {"inception": inception, "vgg": vgg, "alexnet": alexnet, "densenet": densenet}
