"""What augmentations are made of: an image, a key, and numbers drawn from it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, Num

Image = Num[Array, "h w c"]
RandomKey = Key[Array, ""]

# Every draw names its dtype: with 64-bit types allowed JAX would draw other numbers, and float64 runs see other crops.


def uniform(key: RandomKey, low: float, high: float, shape: tuple[int, ...] = ()) -> jax.Array:
    """float32 from [low, high)."""
    return jax.random.uniform(key, shape, jnp.float32, low, high)


def integers(key: RandomKey, low: int, high: int | jax.Array, shape: tuple[int, ...] = ()) -> jax.Array:
    """int32 from low .. high − 1."""
    return jax.random.randint(key, shape, low, high, jnp.int32)


def chance(key: RandomKey, probability: float) -> jax.Array:
    """True with this probability."""
    return jax.random.bernoulli(key, jnp.float32(probability))
