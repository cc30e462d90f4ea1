"""Batch normalisation: every channel shifted and scaled to mean 0 and variance 1 over the batch and all places."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .batch_norm_gradient import batch_norm_with_own_gradient
from .implementation import current_implementation
from .normalize import batch_statistics, normalize
from .precision import sum_dtype


class StatisticsError(ValueError):
    """A batch too small to take statistics of."""


type Statistics = tuple[Float[Array, " c"], Float[Array, " c"]]


def batch_norm(
    x: Float[Array, "*batch c"],
    scale: Float[Array, " c"] | None,
    bias: Float[Array, " c"] | None,
    running_mean: Float[Array, " c"],
    running_var: Float[Array, " c"],
    *,
    train: bool,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    unbiased_running_var: bool = False,
    axis_name: str | None = None,
) -> tuple[Float[Array, "*batch c"], Statistics]:
    """Normalise by the batch's statistics (training) or the running ones (evaluation).

    y = (x - mean) / sqrt(var + epsilon) * scale + bias, where mean and var run over every axis but the last, and var
    is the biased one (divided by the count). In training, running = momentum * running + (1 - momentum) * batch.

    Args:
        x: activations, channels last.
        scale, bias: learned; None leaves the step out.
        running_mean, running_var: of the statistics' dtype: float32, or float64 for float64 activations.
        train: whether to use the batch's statistics and to move the running ones.
        momentum: the share of the old value that stays (Flax's convention; PyTorch's momentum is 1 minus this).
        epsilon: added to the variance; 1e-5 is PyTorch's and Flax's default.
        unbiased_running_var: store the variance divided by count - 1, as PyTorch does; the normalisation itself
            uses the biased one either way.
        axis_name: a mapped axis (pmap, vmap or shard_map) to reduce over as well. Plain jit over a sharded batch needs
            none: it reduces over the global batch by itself, in fewer messages inside `batch_split`.

    Returns:
        The normalised activations in the activations' dtype, and (running_mean, running_var), new in training.

    Raises:
        ValueError: when parameters and activations disagree about the channels.
        StatisticsError: (a ValueError) when a channel has one value, or none, to take statistics of: one value is its
            own mean, whatever the image.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.

    Example:
        >>> import jax.numpy as jnp
        >>> zero, one = jnp.zeros(1), jnp.ones(1)
        >>> y, (mean, var) = batch_norm(jnp.array([[1.0], [3.0]]), one, zero, zero, one, train=True, epsilon=0.0)
        >>> y.ravel(), mean
        (Array([-1.,  1.], dtype=float32), Array([0.2], dtype=float32))
    """
    for name, value in dict(scale=scale, bias=bias, running_mean=running_mean, running_var=running_var).items():
        if value is not None and value.shape != x.shape[-1:]:
            raise ValueError(f"`batch_norm.{name}` must be {x.shape[-1:]}, one value a channel, got {value.shape}.")
    if not train:
        return normalize(x, running_mean, running_var, scale, bias, epsilon), (running_mean, running_var)
    count = x.size // x.shape[-1] * (1 if axis_name is None else lax.axis_size(axis_name))
    if isinstance(count, int) and count < 2:  # and no symbol of `jax.export`
        raise StatisticsError(
            f"`batch_norm` in training needs more than one value a channel, got activations {x.shape}: statistics of "
            f"{'one value' if count else 'no value'} say nothing. Use a larger batch, micro-batch or ghost batch, "
            "larger images, or frozen statistics."
        )
    if axis_name is None and current_implementation() == "auto":
        one, zero = jnp.ones(x.shape[-1:], sum_dtype(x)), jnp.zeros(x.shape[-1:], sum_dtype(x))
        y, mean, var = batch_norm_with_own_gradient(
            x, one if scale is None else scale, zero if bias is None else bias, epsilon
        )
    else:
        mean, var = batch_statistics(x, axis_name)
        y = normalize(x, mean, var, scale, bias, epsilon)
    if unbiased_running_var:
        var = var * (count / (count - 1))
    new_mean, new_var = (
        momentum * old + (1 - momentum) * new.astype(old.dtype)
        for old, new in ((running_mean, mean), (running_var, var))
    )
    return y, (new_mean, new_var)
