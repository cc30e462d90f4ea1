"""Every random number has an address: (seed, purpose, index, ...).  No generator is passed around or advanced."""

import contextlib
import contextvars
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, UInt32

# The rows of the batch that are being computed, and how many the batch has.
_ROWS = contextvars.ContextVar[tuple[Array, int] | None]("rows", default=None)


Seed = int | UInt32[Array, ""]
"""Of a run, 0 to 2³² − 1. Given as an array it is no part of a program, which then serves every seed."""


def random_key(seed: Seed, purpose: str, *indices: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of one draw, the same whether the seed is a number or an array.

    Args:
      seed: of the run.
      purpose: what the draw is for, e.g. "dropout"; different purposes never share numbers.
      indices: where the draw belongs, e.g. the step, or the epoch and the example; they may be traced.

    Raises:
      ValueError: for a seed beyond 0 … 2³² − 1, which JAX would cut to one that lies there.

    Example:
      >>> from jax import random
      >>> bool((random_key(0, "dropout", 7) == random_key(0, "dropout", 7)).all())
      True
    """
    if isinstance(seed, int) and not 0 <= seed < 2**32:
        raise ValueError(f"`seed` must lie from 0 to 4294967295 (2**32 - 1), got {seed}.")
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode()))
    for index in indices:
        key = jax.random.fold_in(key, index)
    return key


def jit_draws[**P, T](function: Callable[P, T], **options: Any) -> jax.stages.Wrapped:
    """`jax.jit` for a function that draws many arrays once, as a network's parameters are: the same bits, sooner.

    Within another function that is being traced it becomes a part of that one's program, whose options hold.
    """
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    if not traced and jax.default_backend() == "cpu":
        # At full optimisation, LLVM compiles each drawing of random numbers for a second or two, 36 s for resnet20; at
        # level 1 for a tenth of a second. Level 0 rounds otherwise.
        options["compiler_options"] = {"xla_backend_optimization_level": 1}
    return jax.jit(function, **options)


@contextlib.contextmanager
def rows_of_batch(rows: Int[Array, "n"], total: int) -> Iterator[None]:
    """While a function is traced within, `bernoulli_rows` knows which rows of the global batch it computes."""
    token = _ROWS.set((rows, total))
    try:
        yield
    finally:
        _ROWS.reset(token)


def bernoulli_rows(key: Key[Array, ""], probability: float, shape: tuple[int, ...]) -> Bool[Array, "n *shape"]:
    """Draws for the rows of a batch; a part of a batch, within `rows_of_batch`, gets what it has in the whole one.

    The whole batch's numbers are drawn and the rows picked: dropout stands where activations are small.
    """
    place = _ROWS.get()
    if place is None or place[1] == shape[0]:
        return jax.random.bernoulli(key, probability, shape)
    rows, total = place
    return jax.random.bernoulli(key, probability, (total, *shape[1:]))[rows]
