import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest

import cnn_jax.ops
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
    with pytest.raises(ValueError, match="must be one of auto, xla, got 'fast'"), implementation("fast"):
        raise AssertionError


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(cnn_jax.ops.__path__)])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(importlib.import_module(f"cnn_jax.ops.{module}")).failed == 0
