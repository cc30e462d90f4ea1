import jax
import jax.numpy as jnp
import pytest

from cnn_jax.ops import implementation
from cnn_jax.ops.implementation import current_implementation


def test_implementation_is_chosen_while_tracing_and_jit_traces_again():
    seen = []

    @jax.jit
    def f(x):
        seen.append(current_implementation())
        return x

    f(jnp.ones(1))
    with implementation("xla"):
        f(jnp.ones(1))
        f(jnp.ones(1))
    f(jnp.ones(1))
    assert seen == ["auto", "xla"]


def test_implementation_refuses_other_names():
    message = "must be one of auto, xla, im2col, matmul, got 'fast'"
    with pytest.raises(ValueError, match=message), implementation("fast"):
        raise AssertionError
