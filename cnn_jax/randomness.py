"""Every random number has an address: (seed, purpose, index, ...).  No generator is passed around or advanced."""

import zlib

import jax
from jaxtyping import Array, Int, Key


def random_key(seed: int, purpose: str, *indices: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of one draw.

    Args:
      seed: of the run.
      purpose: what the draw is for, e.g. "dropout"; different purposes never share numbers.
      indices: where the draw belongs, e.g. the step, or the epoch and the example; they may be traced.

    Example:
      >>> from jax import random
      >>> bool((random_key(0, "dropout", 7) == random_key(0, "dropout", 7)).all())
      True
    """
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
    for index in indices:
        key = jax.random.fold_in(key, index)
    return key
