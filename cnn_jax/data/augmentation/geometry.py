"""Augmentations that move pixels: [H, W, C] -> [H, W, C]; the dtype stays unless interpolation makes it float32."""

import jax
import jax.numpy as jnp

from cnn_jax.data.augmentation.image_op import Image, RandomKey, chance, integers
from cnn_jax.data.augmentation.scale import scale_image
from cnn_jax.data.call import check_fraction
from cnn_jax.data.decoding.images import Interpolation


def pad_crop(image: Image, key: RandomKey, padding: int, fill: int = 0) -> Image:
    """Pad every side by `padding` pixels of value `fill`, then cut the original size out at a random place.

    Source: Lee et al. 2015 and He et al. 2015, §4.2 (padding 4 on CIFAR; there after the mean is subtracted, here
    black by default).
    """
    _check_padding("pad_crop", padding)
    top, left = integers(key, 0, 2 * padding + 1, (2,))
    return jax.lax.dynamic_slice(pad(image, padding, fill), (top, left, jnp.int32(0)), image.shape)


def random_crop(image: Image, key: RandomKey, height: int, width: int | None = None) -> Image:
    """Cut height × width (a square by default) out at a random place, in its original size.

    Source: Krizhevsky et al. 2012, §4.1 (224 of 256 pixels).
    """
    width = height if width is None else width
    down, right = _room("random_crop", image, height, width)
    top, left = integers(key, 0, jnp.array([down + 1, right + 1], jnp.int32), (2,))
    return jax.lax.dynamic_slice(image, (top, left, jnp.int32(0)), (height, width, image.shape[2]))


def center_crop(image: Image, height: int, width: int | None = None) -> Image:
    """Cut height × width (a square by default) out of the middle; an odd rest goes to the bottom and the right."""
    width = height if width is None else width
    down, right = _room("center_crop", image, height, width)
    return image[down // 2 : down // 2 + height, right // 2 : right // 2 + width]


def _room(name: str, image: Image, height: int, width: int) -> tuple[int, int]:
    """How far a window of height × width can move within the image."""
    check_size(name, height, width)
    down, right = image.shape[0] - height, image.shape[1] - width
    if down < 0 or right < 0:
        raise ValueError(
            f"`{name}` cannot cut {height}×{width} out of {image.shape[0]}×{image.shape[1]}; resize to more first."
        )
    return down, right


def horizontal_flip(image: Image, key: RandomKey, probability: float = 0.5) -> Image:
    """Mirror left and right with this probability."""
    check_fraction("horizontal_flip.probability", probability)
    return _one_of(key, probability, image, image[:, ::-1])


def vertical_flip(image: Image, key: RandomKey, probability: float = 0.5) -> Image:
    """Mirror top and bottom with this probability."""
    check_fraction("vertical_flip.probability", probability)
    return _one_of(key, probability, image, image[::-1])


def _one_of(key: RandomKey, probability: float, image: Image, changed: Image) -> Image:
    """`changed` with this probability.

    Fetching one of two copies takes half the time of `jnp.where` on a CPU, for a batch.
    """
    return jnp.stack([image, changed])[chance(key, probability).astype(jnp.int32)]


def resize(image: Image, height: int, width: int | None = None, *, interpolation: Interpolation = "bilinear") -> Image:
    """Scale to height × width (a square by default), as `scale_image` does; float32, on 0..255."""
    width = height if width is None else width
    check_size("resize", height, width)
    return scale_image(image, height, width, interpolation)


def resize_shorter(image: Image, size: int, *, interpolation: Interpolation = "bilinear") -> Image:
    """Scale so that the shorter side becomes `size`, keeping the aspect; otherwise as `resize`."""
    check_size("resize_shorter", size, size)
    height, width, _ = image.shape
    factor = size / min(height, width)
    return scale_image(image, round(height * factor), round(width * factor), interpolation)


def pad(image: Image, padding: int, fill: int = 0) -> Image:
    """Add `padding` pixels of value `fill` on every side: LeNet-5 sees MNIST's 28×28 as 32×32 by `pad(2)`."""
    _check_padding("pad", padding)
    return jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)), constant_values=fill)


def _check_padding(name: str, padding: int) -> None:
    if padding < 0:
        raise ValueError(f"`{name}.padding` must not be negative, got {padding}.")


def check_size(name: str, height: int, width: int) -> None:
    """Refuse what is no size of an image."""
    if height < 1 or width < 1:
        raise ValueError(f"`{name}` needs a positive size, got {height}×{width}.")
