"""Local response normalisation: each activation is damped by the squares of its neighbours in the channel axis."""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.ops.precision import sum_dtype


def local_response_norm(
    x: Float[Array, "n h w c"], size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> Float[Array, "n h w c"]:
    """y[c] = x[c] / (k + alpha * sum over the `size` channels around c of x²) ** beta.

    Args:
      x: activations, channels last.
      size: channels in the sum, the one itself included; channels beyond the ends count as zero. Of an even size,
        the larger half lies before the channel.
      alpha, beta, k: the defaults are the paper's. Caffe and PyTorch divide alpha by the size: their alpha is ours
        times `size`.

    Returns:
      The damped activations, in the activations' dtype; the sum and the power are float32 or wider.

    Raises:
      ValueError: when the size is not positive.

    Source: Krizhevsky et al. 2012, section 3.3.

    Example:
      >>> import jax.numpy as jnp
      >>> local_response_norm(jnp.ones((1, 1, 1, 2)), size=3, alpha=1.0, beta=1.0, k=0.0).ravel()
      Array([0.5, 0.5], dtype=float32)
    """
    if size < 1:
        raise ValueError(f"`local_response_norm.size` must be positive, got {size}; 5 is AlexNet's.")
    wide = x.astype(sum_dtype(x))
    pads = ((0, 0),) * (x.ndim - 1) + ((size // 2, (size - 1) // 2),)
    zero = np.zeros((), wide.dtype)  # a constant even under jit, by which lax knows the sum and its gradient
    total = lax.reduce_window(jnp.square(wide), zero, lax.add, (1,) * (x.ndim - 1) + (size,), (1,) * x.ndim, pads)
    return (wide * (k + alpha * total) ** -beta).astype(x.dtype)
