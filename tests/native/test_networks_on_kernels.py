"""Gradients of whole networks, every layer of which is computed by the kernels where they serve it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models import create_model
from cnn_jax.native.handlers import CONVOLUTIONS, HANDLERS
from cnn_jax.ops import context

QUICKLY = {"xla_backend_optimization_level": 0}


@pytest.mark.parametrize(
    ("name", "options", "shape", "calls"),
    # The first layer's images need no gradient; of 64 channels and filters, the kernels take the sums alone.
    [
        ("lenet5", {"pool": "max"}, (3, 28, 28, 1), (2, 1, 2, 0, 0, 2)),
        ("resnet20_cifar", {}, (3, 16, 16, 3), (14, 13, 19, 19, 19, 0)),
    ],
)
def test_gradients_agree_with_those_of_xla(monkeypatch, name, options, shape, calls):
    monkeypatch.setattr("cnn_jax.ops.conv_cpu.FEWEST_PRODUCTS", 0)
    for layer in ("batch_norm", "max_pool"):
        monkeypatch.setattr(f"cnn_jax.ops.{layer}_cpu.FEWEST_NUMBERS", 0)
    model = create_model(name, num_classes=10, options=options)
    images = jax.random.normal(jax.random.key(0), shape)
    labels = jnp.arange(3)
    with context(conv="xla"):
        variables = jax.jit(lambda: model.init(jax.random.key(1), images, train=False))()

    def gradients(params):
        def loss(params):
            logits, _ = model.apply(variables | {"params": params}, images, train=True, mutable=["batch_stats"])
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

        return jax.grad(loss)(params)

    def compiled(conv):
        with context(conv=conv):
            lowered = jax.jit(lambda params: gradients(params)).lower(variables["params"])
            return lowered.as_text(), lowered.compile(QUICKLY)(variables["params"])

    (text, ours), (other_text, theirs) = compiled("auto"), compiled("xla")
    assert tuple(text.count(f"@cnn_jax_{handler}(") for handler in HANDLERS) == calls
    assert "@cnn_jax_" not in other_text
    for (path, found), true in zip(jax.tree.leaves_with_path(ours), jax.tree.leaves(theirs), strict=True):
        where = jax.tree_util.keystr(path)
        np.testing.assert_allclose(found, true, atol=1e-4 * np.abs(true).max(), rtol=0, err_msg=where)


# Images a step as the first experiment has them; and more, where the first layer's images need no gradient.
@pytest.mark.parametrize(("batch", "calls"), [(64, (0, 0, 0)), (128, (2, 1, 2))])
def test_a_first_small_network_waits_for_no_compiler(batch, calls):
    model = create_model("lenet5", num_classes=10)
    images = jax.ShapeDtypeStruct((batch, 28, 28, 1), jnp.float32)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(1), jnp.zeros(images.shape), train=False))

    def loss(variables, images):
        return model.apply(variables, images, train=True).sum()

    text = jax.jit(jax.grad(loss)).lower(variables, images).as_text()
    assert tuple(text.count(f"@cnn_jax_{handler}(") for handler in CONVOLUTIONS) == calls
