"""Dropout (Srivastava et al. 2014), and whole residual branches dropped (Huang et al. 2016)."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.ops.precision import sum_dtype
from cnn_jax.randomness import bernoulli_rows


class Dropout(nn.Module):
    """Zeroes values with probability `rate` in training, and divides the others by 1 − rate.

    As Flax's, but on a part of a batch, of one device or one micro-batch, it drops what it would drop there in the
    whole batch. Draws from the generator "dropout", whose key
    `training.gradient` makes from (seed, step).
    """

    rate: float

    def dropped(self, x: Float[Array, "n *shape"]) -> tuple[int, ...]:
        """The shape of what is drawn: a value for each element."""
        return x.shape

    @nn.compact
    def __call__(self, x: Float[Array, "n *shape"], *, train: bool) -> Float[Array, "n *shape"]:
        """The identity in evaluation, or at rate 0."""
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"`{type(self).__name__}.rate` must be at least 0 and below 1, got {self.rate}.")
        if not train or self.rate == 0.0:
            return x
        kept = bernoulli_rows(self.make_rng("dropout"), 1.0 - self.rate, self.dropped(x))
        # 0.9 is no number of half precision: there the scaled values would all be 0.2 % too large.
        scaled = (x.astype(sum_dtype(x)) / (1.0 - self.rate)).astype(x.dtype)
        return jnp.where(kept, scaled, jnp.zeros_like(x))


class DropPath(Dropout):
    """Stochastic depth (Huang et al. 2016): drops a residual branch for a whole example with probability `rate`."""

    def dropped(self, x: Float[Array, "n *shape"]) -> tuple[int, ...]:
        """The shape of what is drawn: a value for each example."""
        return (x.shape[0],) + (1,) * (x.ndim - 1)
