"""Whether the gradients of a convolution are right in a new process, and how many kernels their program calls."""

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import context, conv2d, conv_cpu

RNG = np.random.default_rng(0)
X, KERNEL = (RNG.normal(size=shape).astype(np.float32) for shape in ((4, 9, 8, 6), (3, 3, 6, 4)))


def gradients():
    """Of a new function each time, which is lowered anew."""
    return jax.jit(
        lambda x, kernel: jax.grad(lambda *a: jnp.square(conv2d(*a, strides=2, padding=1)).sum(), (0, 1))(x, kernel)
    )


def calls():
    """How many kernels are called by a program whose gradients are right."""
    lowered = gradients().lower(X, KERNEL)
    with context(conv="xla"):
        expected = gradients()(X, KERNEL)
    for ours, theirs in zip(lowered.compile()(X, KERNEL), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), rtol=0)
    return lowered.as_text().count("@cnn_jax_")


if __name__ == "__main__":
    conv_cpu.FEWEST_PRODUCTS = 0
    print(calls(), calls())
