"""Batch normalisation: every channel shifted and scaled to mean 0 and variance 1 over the batch and all places."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding
from jaxtyping import Array, Float

from cnn_jax.ops.batch_norm_cpu import fused_batch_norm, is_fused
from cnn_jax.ops.batch_norm_gradient import batch_norm_with_own_gradient
from cnn_jax.ops.context import current, even_split
from cnn_jax.ops.normalize import add_and_activate, batch_statistics, normalize
from cnn_jax.ops.precision import sum_dtype


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
    shortcut: Float[Array, "*batch c"] | None = None,
    relu: bool = False,
) -> tuple[Float[Array, "*batch c"], Statistics]:
    """Normalise by the batch's statistics (training) or the running ones (evaluation).

    y = (x - mean) / sqrt(var + epsilon) * scale + bias, where mean and var run over every axis but the last, and var
    is the biased one (divided by the count). In training, running = momentum * running + (1 - momentum) * batch.

    The `context` says over which rows mean and var are taken in training: the whole batch, wherever its rows lie, or
    ghost batches, whose running statistics are averaged; or that the running ones are used there, too.

    Args:
      x: activations, channels last.
      scale, bias: learned; None leaves the step out.
      running_mean, running_var: of the statistics' dtype: float32, or float64 for float64 activations.
      train: whether to use the batch's statistics and to move the running ones.
      momentum: the share of the old value that stays (Flax's convention; PyTorch's momentum is 1 minus this).
      epsilon: added to the variance; 1e-5 is PyTorch's and Flax's default.
      shortcut: what a residual network adds to y.
      relu: whether what is negative then becomes zero. Both are here because on a CPU they cost as many passes over
        memory as the normalisation, and none beside it.

    Returns:
      The normalised activations in the activations' dtype, and (running_mean, running_var), new in training.

    Raises:
      ValueError: when parameters and activations disagree about the channels, or a ghost batch does not divide the
        batch.
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
    here = current()
    if not train or here.frozen_norm:
        y = normalize(x, running_mean, running_var, scale, bias, epsilon)
        return add_and_activate(y, shortcut, relu=relu), (running_mean, running_var)
    learn = partial(_learn, scale, bias, running_mean, running_var, momentum, epsilon)
    if here.ghost_batch is None:
        return learn(here.batch, x, shortcut, relu)
    if x.shape[0] % here.ghost_batch:
        raise ValueError(f"`ghost_batch` ({here.ghost_batch}) must divide the batch of {x.shape[0]}.")
    y, (means, variances) = jax.vmap(partial(learn, None))(x.reshape(-1, here.ghost_batch, *x.shape[1:]))
    return add_and_activate(y.reshape(x.shape), shortcut, relu=relu), (means.mean(0), variances.mean(0))


def _learn(
    scale: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    momentum: float,
    epsilon: float,
    batch: NamedSharding | str | None,
    x: Array,
    shortcut: Array | None = None,
    relu: bool = False,
) -> tuple[Array, Statistics]:
    """Normalised by the statistics of these rows and of the others in the batch, and the new running ones."""
    count = x.size // x.shape[-1] * (lax.axis_size(batch) if isinstance(batch, str) else 1)
    if isinstance(count, int) and count < 2:  # and no symbol of `jax.export`
        raise StatisticsError(
            f"`batch_norm` in training needs more than one value a channel, got activations {x.shape}: statistics of "
            f"{'one value' if count else 'no value'} say nothing. Use a larger batch, micro-batch or ghost batch, "
            "larger images, or frozen statistics."
        )
    if not isinstance(batch, str) and current().own_forms:
        scale = jnp.ones(x.shape[-1:], sum_dtype(x)) if scale is None else scale
        bias = jnp.zeros(x.shape[-1:], sum_dtype(x)) if bias is None else bias
        if is_fused(x, shortcut):
            y, mean, var = fused_batch_norm(x, scale, bias, shortcut, epsilon, relu)
            shortcut, relu = None, False
        else:
            split = even_split(batch, x.shape[0])
            y, mean, var = batch_norm_with_own_gradient(x, scale, bias, epsilon, split)
    else:
        mean, var = batch_statistics(x, batch)
        y = normalize(x, mean, var, scale, bias, epsilon)
    y = add_and_activate(y, shortcut, relu=relu)
    if current().unbiased_variance:
        var = var * (count / (count - 1))
    new_mean, new_var = (
        momentum * old + (1 - momentum) * new.astype(old.dtype)
        for old, new in ((running_mean, mean), (running_var, var))
    )
    return y, (new_mean, new_var)
