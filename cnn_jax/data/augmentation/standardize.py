"""From pixels to what a network is fed: zero mean and unit deviation, by the data set's statistics."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Num


def standardize(
    images: Num[Array, "b h w c"], mean: Sequence[float], std: Sequence[float], dtype: DTypeLike = jnp.float32
) -> Float[Array, "b h w c"]:
    """(image / 255 − mean) / std per channel, computed in float32 (float64 for float64) and returned as `dtype`.

    Args:
      mean, std: on the scale 0..1, one for each channel, or a single one for all.

    Raises:
      ValueError: where there is neither one value nor one for each channel.
    """
    channels = images.shape[-1]
    for name, value in (("mean", mean), ("std", std)):
        if len(value) not in (1, channels):
            raise ValueError(f"`standardize.{name}` has {len(value)} values, but the images have {channels} channels.")
    exact = jnp.promote_types(dtype, jnp.float32)
    shift, scale = (jnp.asarray(value, exact).reshape(1, 1, 1, -1) for value in (mean, std))
    return ((images.astype(exact) / 255 - shift) / scale).astype(dtype)
