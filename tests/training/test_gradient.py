"""The gradient of the loss, that of auxiliary classifiers included."""

import types
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from cnn_jax import ops
from cnn_jax.training.gradient import loss_gradient
from cnn_jax.training.losses import softmax_cross_entropy


class WithAux(nn.Module):
    """A linear classifier behind a linear layer, and two auxiliary ones on that layer."""

    aux_weight: ClassVar = {"first": 0.3, "second": 0.5}

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(4, name="body")(images)
        if train:
            for name in self.aux_weight:
                self.sow("features", name, nn.Dense(3, name=f"{name}_head")(x), reduce_fn=lambda _, new: new)
        return nn.Dense(3, name="head")(x)


def test_auxiliary_classifiers_add_their_weighed_losses():
    images = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    labels = jnp.array([0, 1, 2, 1, 0])
    params = jax.jit(partial(WithAux().init, train=True))(jax.random.key(0), images)["params"]
    gradient = loss_gradient(WithAux(), softmax_cross_entropy, context=ops.Context(), seed=0, batch_size=5)
    state = types.SimpleNamespace(loss_scale=None, step=jnp.int32(0))
    found, forward = jax.jit(partial(gradient, state))(params, {}, images, labels, jnp.arange(5))

    def expected(params):
        x = images @ params["body"]["kernel"] + params["body"]["bias"]
        heads = {"head": params["head"], "first": params["first_head"], "second": params["second_head"]}
        logits = {name: x @ head["kernel"] + head["bias"] for name, head in heads.items()}
        each = {name: softmax_cross_entropy(values, labels) for name, values in logits.items()}
        return (each["head"] + 0.3 * each["first"] + 0.5 * each["second"]).mean()

    value, wanted = jax.jit(jax.value_and_grad(expected))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), found, wanted)
    np.testing.assert_allclose(forward.loss.mean(), value, rtol=1e-6)
