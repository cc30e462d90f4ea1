"""Forward mode: every operation has it under XLA's own formulation, and says so under ours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import create_model
from cnn_jax.models import initialize
from cnn_jax.ops import avg_pool, batch_norm, context, conv2d, local_response_norm, max_pool

X = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype(np.float32)
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 2, 2)).astype(np.float32)
OPERATIONS = {
    "conv2d": lambda x: conv2d(x, KERNEL, strides=2, padding=1),
    "max_pool": lambda x: max_pool(x, 3, 1, 1),
    "avg_pool": lambda x: avg_pool(x, 2),
    "batch_norm": lambda x: batch_norm(x, None, None, jnp.zeros(2), jnp.ones(2), train=True)[0],
    "local_response_norm": local_response_norm,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_product_with_the_hessian_agrees_with_the_gradients_differences(name):
    # Of a smooth function of the values; the steps of max pooling's gradient lie further off than the difference.
    gradient = jax.grad(lambda x: (OPERATIONS[name](x) ** 3).sum())
    v = jnp.asarray(np.random.default_rng(2).normal(size=X.shape), jnp.float32)
    with context(conv="xla"):
        forward = jax.jvp(gradient, (X,), (v,))[1]
        step = 1e-2
        difference = (gradient(X + step * v) - gradient(X - step * v)) / (2 * step)
    # Central differences of float32 gradients: about 1e-4 of the largest from rounding, and the third derivative.
    np.testing.assert_allclose(forward, difference, atol=2e-2 * float(jnp.abs(forward).max()))


@pytest.mark.parametrize("name", ["conv2d", "max_pool", "batch_norm"])
def test_our_own_gradients_name_the_formulation_that_has_forward_mode(name):
    with pytest.raises(TypeError, match=r'use XLA\'s own: `with cnn_jax.ops.context\(conv="xla"\)'):
        jax.jvp(OPERATIONS[name], (X,), (X,))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet8_cifar", "alexnet_paper", "googlenet_paper"])
def test_networks_have_forward_mode_under_xla(name):
    side = {"lenet5": 28, "resnet8_cifar": 8, "alexnet_paper": 67, "googlenet_paper": 31}[name]
    model = create_model(name, 4)
    variables = initialize(model, {"params": jax.random.key(0)}, (side, side, 1))
    x = jax.random.normal(jax.random.key(1), (2, side, side, 1))

    def loss(params):
        logits, _ = model.apply(
            variables | {"params": params}, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(2)}
        )
        return jax.nn.logsumexp(logits, axis=-1).sum()

    params = variables["params"]
    with context(conv="xla"):
        slope = jax.jvp(loss, (params,), (params,))[1]
        gradient = jax.grad(loss)(params)
    along = sum(jnp.vdot(g, p) for g, p in zip(jax.tree.leaves(gradient), jax.tree.leaves(params), strict=True))
    np.testing.assert_allclose(slope, along, rtol=1e-3)  # two orders of sums in float32
