"""Random convolutions, values and both gradients, against loops: a short sweep always, a long one under `-m slow`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from references import conv2d as reference

from cnn_jax.ops import conv2d

# Largest difference over the reference's largest value.
BOUNDS = {"float32": 1e-5, "bfloat16": 2e-2}
RELAXED = dict(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def convolutions(draw, largest_size, most_channels):
    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, strides, dilation = pair(1, 11), pair(1, 4), pair(1, 3)
    pads = (pair(0, 4), pair(0, 4))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    spans = [(k - 1) * d + 1 - sum(p) for k, d, p in zip(kernel, dilation, pads, strict=True)]
    size = [draw(st.integers(max(1, span), max(1, span) + largest_size)) for span in spans]
    c, o = (draw(st.integers(1, most_channels // groups)) for _ in range(2))
    n = draw(st.integers(1, 5))
    arguments = dict(strides=strides, padding=pads, dilation=dilation, groups=groups)
    return (n, *size, c * groups), (*kernel, c, o * groups), arguments, draw(st.integers(0, 2**31))


@pytest.fixture(autouse=True, scope="module")
def ours():
    """The rule leaves small shapes to XLA; here all are ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnn_jax.ops.conv_cpu._has_few_channels", lambda kernel, geometry: False)
        yield


def check(case, dtype):
    image, kernel, arguments, seed = case
    rng = np.random.default_rng(seed)
    x, kernel = (jnp.asarray(rng.normal(size=shape), dtype) for shape in (image, kernel))
    y, pull = jax.vjp(lambda x, kernel: conv2d(x, kernel, **arguments), x, kernel)
    g = jnp.asarray(rng.normal(size=y.shape), dtype)
    rest = tuple(arguments.values())
    expected = reference(x, kernel, *rest), *reference(x, kernel, *rest, g)
    for name, ours, theirs in zip(("y", "dx", "dkernel"), (y, *pull(g)), expected, strict=True):
        error = np.abs(np.asarray(ours, np.float64) - theirs).max() / max(np.abs(theirs).max(), 1e-30)
        assert error <= BOUNDS[dtype], (name, error)


@pytest.mark.parametrize("dtype", BOUNDS)
@given(case=convolutions(largest_size=6, most_channels=6))
@settings(max_examples=8, **RELAXED)
def test_random_convolutions_agree_with_loops(case, dtype):
    check(case, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", BOUNDS)
@given(case=convolutions(largest_size=24, most_channels=64))
@settings(max_examples=150, **RELAXED)
def test_many_random_convolutions_agree_with_loops(case, dtype):
    check(case, dtype)
