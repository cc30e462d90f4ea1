"""The constant that each filter or unit adds to what it puts out."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnn_jax.ops.normalize import as_row
from cnn_jax.ops.precision import is_half, sum_dtype


def add_bias(y: Float[Array, "*batch c"], bias: Float[Array, " c"]) -> Float[Array, "*batch c"]:
    """y + bias in the dtype of y, with the gradient of the bias summed in float32 or wider.

    Args:
      y: activations, channels last.
      bias: one value a channel, of any floating dtype.

    Example:
      >>> import jax.numpy as jnp
      >>> add_bias(jnp.zeros((1, 2), jnp.bfloat16), jnp.array([1.0, 2.0]))
      Array([[1, 2]], dtype=bfloat16)
    """
    if not is_half(y):
        return y + as_row(bias.astype(y.dtype), y)
    # Widened to all places before it is rounded: so the transposed program rounds after the sum. The plain one adds up
    # in half precision, which on XLA:CPU takes 25 times as long, too (8 x 224 x 224 x 64: 162 ms against 6.6).
    return y + jnp.broadcast_to(as_row(bias.astype(sum_dtype(y)), y), y.shape).astype(y.dtype)
