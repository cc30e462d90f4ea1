"""The lecture's point about initialisation: variance lives through depth by He's rule, and dies by N(0, 0.01²)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.inspect import variance_through_depth
from cnn_jax.models import create_model, initialize


def curve(name, init, size, seeds):
    """Geometric mean over seeds: the rule holds on average, and one network wanders."""
    norm = {} if name.startswith("vgg") else {"norm": "none"}
    model = create_model(name, 0, options={"kernel_init": init, "width": 0.5, **norm})
    images = np.random.default_rng(0).normal(size=(1, size, size, 3)).astype(np.float32)

    @jax.jit
    def draw(key):  # the convolutions; the many weights of the layers behind them stay zero
        variables = initialize(model, {"params": key, "dropout": key}, images.shape[1:])
        return jax.tree.map(lambda leaf: leaf if leaf.ndim == 4 else jnp.zeros_like(leaf), variables)

    curves = [variance_through_depth(model, draw(jax.random.key(seed)), images) for seed in range(seeds)]
    # The smallest float32 in place of zero, which the constant deviation reaches.
    logs = np.log(np.maximum([list(c.values()) for c in curves], 1e-38))
    return dict(zip(curves[0], np.exp(logs.mean(0)).tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "size", "depth"),
    [
        ("vgg11", 64, 8),
        pytest.param("vgg19", 64, 16, marks=pytest.mark.slow),
        pytest.param("plain34", 224, 33, marks=pytest.mark.slow),
    ],
)
def test_he_keeps_the_variance_and_a_constant_deviation_does_not(name, size, depth):
    he, constant = curve(name, "he", size, seeds=3), curve(name, "normal", size, seeds=1)
    assert len(he) == len(constant) == depth
    # From the second convolution on in plain34: the pooling behind its first takes the largest of nine noisy values,
    # and so multiplies the variance by four, once, whatever the weights are.
    values = [v for layer, v in he.items() if layer != "stem_conv"]
    assert max(values) / min(values) < 10, he
    # Each layer multiplies the variance by N · 0.01² / 2, which is far below one for every N here.
    assert max(constant.values()) / min(constant.values()) > 1e6
