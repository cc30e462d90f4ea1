"""Gradient rules on functions whose gradients are known."""

import types

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.parallel import create_layout
from cnn_jax.training.gradient import Forward, objective
from cnn_jax.training.rules import plain, sam

PARAMS = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
STATE = types.SimpleNamespace(params=PARAMS)


def cubic(params):
    """The gradient p² of the sum of p³ / 3."""
    loss = sum(jnp.sum(p**3) / 3 for p in jax.tree.leaves(params))
    return jax.tree.map(jnp.square, params), Forward(loss[None], params["a"], {})


def test_plain_is_the_gradient_at_the_parameters():
    gradients, forward = plain(cubic, STATE, None)
    np.testing.assert_array_equal(gradients["b"], [16.0])
    np.testing.assert_array_equal(forward.logits, PARAMS["a"])


def test_sam_is_the_gradient_uphill_and_the_loss_here():
    gradients, forward = sam(cubic, STATE, None, rho=0.1)
    norm = np.sqrt(9.0**2 + 16.0**2)
    np.testing.assert_allclose(gradients["a"], [(3 + 0.1 * 9 / norm) ** 2, 0.0], rtol=1e-6)
    np.testing.assert_allclose(gradients["b"], [(4 + 0.1 * 16 / norm) ** 2], rtol=1e-6)
    np.testing.assert_array_equal(forward.loss, cubic(PARAMS)[1].loss)


def test_sam_stays_where_there_is_no_slope():
    flat = types.SimpleNamespace(params=jax.tree.map(jnp.zeros_like, PARAMS))
    gradients, _ = sam(cubic, flat, None)
    assert not any(np.any(g) for g in jax.tree.leaves(gradients))


def test_the_objective_has_the_gradient_that_it_is_given_also_under_a_directional_derivative():
    value = objective(cubic, create_layout("jit"))
    np.testing.assert_allclose(value(PARAMS), (27 + 64) / 3, rtol=1e-6)
    np.testing.assert_array_equal(jax.grad(value)(PARAMS)["b"], [16.0])
    curvature = jax.jvp(jax.grad(value), (PARAMS,), (jax.tree.map(jnp.ones_like, PARAMS),))[1]
    np.testing.assert_allclose(curvature["b"], [8.0])
