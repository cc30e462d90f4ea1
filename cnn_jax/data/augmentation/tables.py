"""Point operations as tables: the new value of each of the 256 old ones, uint8 [256] or, per channel, [256, C]."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

_VALUES = 256


def autocontrast_table(image: UInt8[Array, "h w c"]) -> UInt8[Array, "256 c"]:
    """Stretch each channel so that its darkest value becomes 0 and its brightest 255; a flat channel stays."""
    value = jnp.arange(_VALUES, dtype=jnp.float32)[:, jnp.newaxis]
    low, high = (extreme(image, axis=(0, 1)).astype(jnp.float32) for extreme in (jnp.min, jnp.max))
    stretched = jnp.clip((value - low) * (255 / jnp.maximum(high - low, 1)), 0, 255)
    # The small addition keeps a whole number from being cut to the one below it by rounding.
    return jnp.where(high > low, jnp.floor(stretched + 1e-3), value).astype(jnp.uint8)


def equalize_table(image: UInt8[Array, "h w c"]) -> UInt8[Array, "256 c"]:
    """Spread each channel's values so that they become about equally frequent; a channel with too few values stays.

    As Pillow does: with step = ⌊(pixels − those of the brightest value) / 255⌋, value v becomes ⌊(step / 2 + pixels
    below v) / step⌋.
    """
    counts = jax.vmap(lambda channel: jnp.bincount(channel.ravel(), length=_VALUES), in_axes=2, out_axes=1)(image)
    brightest = jnp.max(image, axis=(0, 1)).astype(jnp.int32)
    last = jnp.take_along_axis(counts, brightest[jnp.newaxis], axis=0)[0]
    step = (image.shape[0] * image.shape[1] - last) // 255
    below = jnp.cumsum(counts, axis=0) - counts
    spread = jnp.clip((step // 2 + below) // jnp.maximum(step, 1), 0, 255)
    return jnp.where(step > 0, spread, jnp.arange(_VALUES)[:, jnp.newaxis]).astype(jnp.uint8)


def posterize_table(bits: Int[Array, ""]) -> UInt8[Array, " 256"]:
    """Keep the highest `bits` bits."""
    lost = 8 - bits
    return ((jnp.arange(_VALUES) >> lost) << lost).astype(jnp.uint8)


def solarize_table(threshold: Float[Array, ""]) -> UInt8[Array, " 256"]:
    """Invert the values from `threshold` on."""
    value = jnp.arange(_VALUES)
    return jnp.where(value < threshold, value, 255 - value).astype(jnp.uint8)
