"""Sums and averages of half precision are taken in float32, constants are not rounded before they are used."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.modules import Conv, Dropout
from cnn_jax.modules.activations import activate
from cnn_jax.modules.dense import Dense
from cnn_jax.ops import adaptive_avg_pool, add_bias, avg_pool, context, conv2d, global_avg_pool, max_pool

HALF = ("bfloat16", pytest.param("float16", marks=pytest.mark.slow))  # which takes the way of bfloat16


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    "average",
    [partial(avg_pool, window=64), partial(adaptive_avg_pool, output_size=1), global_avg_pool],
    ids=["avg_pool", "adaptive_avg_pool", "global_avg_pool"],
)
def test_the_average_of_many_equal_values_is_that_value(average, dtype):
    # A running sum in half precision stays at 256 or overflows; 1/4096 of 3 is a number of both.
    x = jnp.full((1, 64, 64, 1), 3, dtype)
    y, pull = jax.vjp(average, x)
    assert float(y.ravel()[0]) == 3
    np.testing.assert_array_equal(np.asarray(pull(y)[0], np.float32), 3 / 4096)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(("window", "platform"), [(5, None), (6, None), (5, "cuda")], ids=["ours", "XLA's", "a GPU's"])
def test_the_gradients_of_overlapping_windows_add_up_in_float32(window, platform, dtype):
    # The largest pixel wins in window² windows; each gives it 1 + 1/128, which a sum in half precision loses.
    size = 2 * window - 1
    x = jnp.zeros((1, size, size, 1), dtype).at[0, window - 1, window - 1, 0].set(1)
    one = 1 + 2**-7
    given = jnp.full((1, window, window, 1), one, dtype)
    pull = jax.jit(lambda x: jax.vjp(lambda x: max_pool(x, window, 1), x)[1](given))
    with context(platform=platform):
        gradient = float(pull(x)[0].max())
    assert gradient == float(jnp.asarray(window**2 * one, dtype))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("choice", ["auto", "xla", "im2col", "matmul"])
def test_the_gradient_to_a_pixel_adds_up_the_taps_in_float32(choice, dtype):
    # The middle pixel meets all 25 taps, each of which gives it 1 + 1/128: beyond 2 bfloat16 loses the fraction.
    one = 1 + 2**-7
    x, k = jnp.zeros((1, 9, 9, 1), dtype), jnp.full((5, 5, 1, 1), one, dtype)
    with context(conv=choice):
        pull = jax.jit(lambda x: jax.vjp(lambda x: conv2d(x, k), x)[1](jnp.ones(x.shape, dtype)))
        gradient = float(pull(x)[0][0, 4, 4, 0])
    assert gradient == float(jnp.asarray(25 * one, dtype))


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("layer", ["function", "Conv", "Dense"])
def test_the_gradient_of_a_bias_is_summed_in_float32(layer, dtype):
    if layer == "function":
        pull = jax.vjp(lambda b: add_bias(jnp.zeros((4096, 2), dtype), b), jnp.zeros(2))[1]
        gradient = pull(jnp.ones((4096, 2), dtype))[0]
    else:
        module = Conv(2, 1, dtype=dtype) if layer == "Conv" else Dense(2, dtype=dtype)
        x = jnp.zeros((1, 64, 64, 3) if layer == "Conv" else (4096, 3), dtype)
        variables = jax.jit(module.init)(jax.random.key(0), x)
        gradients = jax.jit(jax.grad(lambda v: module.apply(v, x).astype(jnp.float32).sum()))(variables)
        gradient = gradients["params"]["bias"]
    assert gradient.dtype == jnp.float32
    assert gradient.tolist() == [4096, 4096]


@pytest.mark.parametrize("options", [None, "step"])
@pytest.mark.parametrize("dtype", HALF)
def test_a_mean_behind_convolutions_is_right_under_a_jit_of_ones_own(dtype, options):
    # XLA:CPU drew the convolution and the ReLU's zero into the sum, and read beyond its buffers.
    from cnn_jax.parallel.compile import compiler_options

    rng = np.random.default_rng(0)
    x, k = jnp.asarray(rng.normal(size=(4, 4, 4, 16)), dtype), jnp.asarray(rng.normal(size=(3, 3, 16, 16)) / 12, dtype)

    def network(average, x, k):
        y = jax.nn.relu(conv2d(jax.nn.relu(x), k) + x)
        return average(y).reshape(4, 16)

    for average in (global_avg_pool, partial(avg_pool, window=4), partial(adaptive_avg_pool, output_size=1)):
        compiled = jax.jit(partial(network, average), compiler_options=compiler_options(dtype) if options else None)
        wide = network(average, x.astype(jnp.float32), k.astype(jnp.float32))
        # Three roundings of values up to about 3.
        np.testing.assert_allclose(np.asarray(compiled(x, k), np.float32), wide, atol=0.03)


@pytest.mark.parametrize("dtype", HALF)
def test_constants_are_not_rounded_before_they_are_used(dtype):
    ones = jnp.full((1000, 1), 0.9, dtype)
    kept = Dropout(0.1).apply({}, ones, train=True, rngs={"dropout": jax.random.key(0)})
    assert float(kept.max()) == float(jnp.asarray(float(ones[0, 0]) / 0.9, dtype))
    x = jnp.asarray(-3, dtype)
    assert float(activate("leaky_relu", x)) == float(jnp.asarray(-0.03, dtype))
    assert float(activate("gelu", x)) == float(activate("gelu", jnp.float32(-3)).astype(dtype))
