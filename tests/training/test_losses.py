"""Losses against their formulas, in NumPy."""

import jax
import numpy as np
import pytest

from cnn_jax.training.losses import sigmoid_cross_entropy, softmax_cross_entropy

LOGITS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32) * 3
LABELS = np.array([0, 3, 1, 1, 2], np.int32)


def mixed(smoothing):
    rows = np.eye(4)[LABELS]
    return (1 - smoothing) * rows + smoothing / 4


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("targets", [LABELS, np.eye(4, dtype=np.float32)[LABELS]], ids=["labels", "rows"])
def test_losses_equal_their_formulas(targets, smoothing):
    z, t = LOGITS.astype(np.float64), mixed(smoothing)
    softmax = -(t * (z - np.log(np.exp(z).sum(1, keepdims=True)))).sum(1)
    sigmoid = (np.log1p(np.exp(-z)) * t + np.log1p(np.exp(z)) * (1 - t)).sum(1)
    for loss, expected in ((softmax_cross_entropy, softmax), (sigmoid_cross_entropy, sigmoid)):
        np.testing.assert_allclose(loss(LOGITS, jax.numpy.asarray(targets), smoothing), expected, rtol=1e-5)
