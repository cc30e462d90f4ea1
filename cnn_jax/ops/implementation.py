"""Which formulation the operations use: our own on CPUs (`auto`), stock XLA everywhere (`xla`), or a textbook's."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

IMPLEMENTATIONS = ("auto", "xla", "im2col", "matmul")

# A user context is part of jit's cache key: a function traced under one choice is traced again under the other.
_choice = jax.make_user_context("auto")


@contextmanager
def implementation(name: str) -> Iterator[None]:
    """Choose how convolution, pooling and BatchNorm are computed while the block is traced.

    Args:
        name: `auto` uses our formulations where the program is lowered for a CPU, and XLA's own elsewhere;
            `xla` uses XLA's own everywhere. `im2col` and `matmul` write a convolution as one matrix product, or as
            one for each tap of the filter, and leave the rest to XLA.

    Raises:
        ValueError: for another name.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from cnn_jax.ops import implementation, max_pool
        >>> with implementation("xla"):
        ...     y = jax.jit(lambda x: max_pool(x, 2))(jnp.ones((1, 4, 4, 1)))
        >>> y.shape
        (1, 2, 2, 1)
    """
    if name not in IMPLEMENTATIONS:
        raise ValueError(f"`implementation` must be one of {', '.join(IMPLEMENTATIONS)}, got {name!r}.")
    with _choice(name):
        yield


def current_implementation() -> str:
    """The name that `implementation` chose, `auto` outside of any."""
    return _choice.value
