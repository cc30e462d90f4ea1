"""A checksum of a tree of arrays that finds a single flipped bit and does not depend on how the arrays are sharded."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt32


@jax.jit
def checksum(tree: Any) -> UInt32[Array, "leaves"]:
    """One 32-bit sum per leaf of the hashed words of its elements, each hashed with its position.

    Integer sums do not depend on their order, so the result is the same on one device and on eight.  The hash is
    MurmurHash3's 32-bit finaliser, a bijection: a change to one word always changes the sum.
    """
    return jnp.stack([_leaf_checksum(jnp.asarray(x)) for x in jax.tree.leaves(tree)])


def _leaf_checksum(x: Array) -> UInt32[Array, ""]:
    if x.dtype == jnp.bool_:
        x = x.astype(jnp.uint8)
    bits = jax.lax.bitcast_convert_type(x, {1: jnp.uint8, 2: jnp.uint16}.get(x.dtype.itemsize, jnp.uint32))
    words = bits.astype(jnp.uint32)
    # The position as a sum over the axes rather than a reshape, which would gather a sharded array.
    position = jnp.zeros(words.shape, jnp.uint32)
    for axis in range(words.ndim):
        stride = math.prod(words.shape[axis + 1 :]) % 2**32
        position += jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis) * jnp.uint32(stride)
    h = words ^ (position * jnp.uint32(0x9E3779B1) + jnp.uint32(1))
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return jnp.sum(h ^ (h >> 16), dtype=jnp.uint32)
