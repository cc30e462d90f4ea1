"""Augmentations that change colours.

Images [H, W, C] on the scale 0..255 become float32 on the same scale, clipped to it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.data.augmentation.image_op import Image, RandomKey, chance, uniform
from cnn_jax.data.call import check_fraction

# Rec. 601 luma, as Pillow, OpenCV and torchvision take it.
LUMA = (0.299, 0.587, 0.114)

# Of the RGB values of ImageNet's training images in 0..1. Source: Krizhevsky et al. 2012, section 4.1, with the
# numbers that
# Facebook's ResNet training published.
IMAGENET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
IMAGENET_EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def luma(image: Image) -> Float[Array, "h w 1"]:
    """The gray version; an image of one channel is its own."""
    image = image.astype(jnp.float32)
    if image.shape[2] == 1:
        return image
    _need_rgb("luma", image)
    return jnp.matmul(image, jnp.asarray(LUMA, jnp.float32), precision="highest")[..., jnp.newaxis]


def blend(other: Image, image: Image, factor: Float[Array, ""]) -> Image:
    """other + factor · (image − other), clipped to 0..255.

    A factor of 0 gives `other`, 1 the image; more than 1 moves away from `other`.
    """
    return jnp.clip(other + factor * (image - other), 0, 255)


def adjust_brightness(image: Image, factor: Float[Array, ""]) -> Image:
    """Blend with black."""
    return blend(jnp.float32(0), image.astype(jnp.float32), factor)


def adjust_contrast(image: Image, factor: Float[Array, ""]) -> Image:
    """Blend with the mean of the image's luma."""
    return blend(luma(image).mean(), image.astype(jnp.float32), factor)


def adjust_saturation(image: Image, factor: Float[Array, ""]) -> Image:
    """Blend with the gray version."""
    return blend(luma(image), image.astype(jnp.float32), factor)


def shift_hue(image: Image, turns: Float[Array, ""]) -> Image:
    """Turn the hue by `turns`, keeping value and saturation; gray images stay.

    One turn is the full circle of the HSV hexcone.
    """
    image = image.astype(jnp.float32)
    if image.shape[2] == 1:
        return image
    _need_rgb("hue", image)
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    value, chroma = image.max(axis=-1), image.max(axis=-1) - image.min(axis=-1)
    safe = jnp.where(chroma == 0, 1, chroma)
    sextant = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = sextant + 6 * turns
    # Smith 1978's hexcone, written without cases: each channel is the value less a trapezoid of the hue.
    offset = jnp.array([5, 3, 1], jnp.float32)
    k = jnp.mod(turned[..., jnp.newaxis] + offset, 6)
    return value[..., jnp.newaxis] - chroma[..., jnp.newaxis] * jnp.clip(jnp.minimum(k, 4 - k), 0, 1)


def add_lighting(image: Image, alphas: Float[Array, " 3"]) -> Image:
    """Add the principal components of ImageNet's colours, each times its eigenvalue and its alpha."""
    _need_rgb("pca_lighting", image)
    scaled = alphas * jnp.asarray(IMAGENET_EIGENVALUES, jnp.float32)
    shift = jnp.matmul(jnp.asarray(IMAGENET_EIGENVECTORS, jnp.float32), scaled, precision="highest")
    return jnp.clip(image.astype(jnp.float32) + 255 * shift, 0, 255)


def brightness(image: Image, key: RandomKey, strength: float) -> Image:
    """Multiply by a factor from 1 − strength … 1 + strength."""
    return adjust_brightness(image, _factor("brightness", key, strength))


def contrast(image: Image, key: RandomKey, strength: float) -> Image:
    """Scale the distance from the mean luma by a factor from 1 − strength … 1 + strength."""
    return adjust_contrast(image, _factor("contrast", key, strength))


def saturation(image: Image, key: RandomKey, strength: float) -> Image:
    """Scale the distance from gray by a factor from 1 − strength … 1 + strength."""
    return adjust_saturation(image, _factor("saturation", key, strength))


def _factor(name: str, key: RandomKey, strength: float) -> Float[Array, ""]:
    if strength < 0:
        raise ValueError(f"`{name}.strength` must not be negative, got {strength}.")
    return uniform(key, max(0.0, 1 - strength), 1 + strength)  # a negative factor would invert the image


def hue(image: Image, key: RandomKey, strength: float) -> Image:
    """Turn the hue by −strength … strength turns; 0.5 reaches every hue."""
    if not 0 <= strength <= 0.5:
        raise ValueError(f"`hue.strength` must be in [0, 0.5] turns, got {strength}.")
    return shift_hue(image, uniform(key, -strength, strength))


def grayscale(image: Image) -> Image:
    """Replace every channel by the luma; the number of channels stays, so the data set's statistics still fit."""
    return jnp.broadcast_to(luma(image), image.shape)


def random_grayscale(image: Image, key: RandomKey, probability: float = 0.1) -> Image:
    """`grayscale` with this probability. The default is torchvision's."""
    check_fraction("random_grayscale.probability", probability)
    return jnp.where(chance(key, probability), luma(image), image.astype(jnp.float32))


def to_gray(image: Image) -> Image:
    """The luma of a colour image, one channel, for networks made for gray images; gray images stay."""
    return luma(image) if image.shape[2] == 3 else image


def to_rgb(image: Image) -> Image:
    """Repeat the one channel of a gray image three times, for networks made for colour; colour images stay."""
    return jnp.repeat(image, 3, axis=2) if image.shape[2] == 1 else image


def pca_lighting(image: Image, key: RandomKey, deviation: float = 0.1) -> Image:
    """Shift the colour along ImageNet's principal components by normal amounts of this standard deviation.

    Source: Krizhevsky et al. 2012, section 4.1 (0.1 there).
    """
    if deviation < 0:
        raise ValueError(f"`pca_lighting.deviation` must not be negative, got {deviation}.")
    return add_lighting(image, deviation * jax.random.normal(key, (3,), jnp.float32))


def _need_rgb(name: str, image: Image) -> None:
    if image.shape[2] != 3:
        raise ValueError(f"`{name}` needs 3 channels, got {image.shape[2]}; put to_rgb() before it.")
