"""Whole networks give the same gradients in our formulations as in XLA's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models import create_model
from cnn_jax.models.initialize import initialize


@pytest.mark.parametrize(
    ("name", "shape"), [("lenet5", (28, 28, 1)), pytest.param("resnet8_cifar", (16, 16, 3), marks=pytest.mark.slow)]
)
def test_gradients_of_auto_are_those_of_xla(name, shape):
    model = create_model(name)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = initialize(model, keys, shape)
    images = jax.random.normal(jax.random.key(2), (8, *shape))

    def loss_of(params):
        logits, _ = model.apply(variables | {"params": params}, images, train=True, mutable=["batch_stats"])
        return jnp.square(logits).mean()

    gradients = {}
    for choice in ("auto", "xla"):
        with ops.context(conv=choice):
            gradients[choice] = jax.jit(jax.grad(loss_of))(variables["params"])

    def close(ours, theirs):
        # Of the largest gradient of the network: that of a kernel before a BatchNorm has parts that cancel.
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * largest)

    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradients["xla"]))
    jax.tree.map(close, gradients["auto"], gradients["xla"])
