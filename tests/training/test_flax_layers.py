"""Flax's own layers in a network of one's own: frozen as ours are, and refused where they would not see the batch."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from cnn_jax.ops import context
from cnn_jax.training.flax_layers import refuse_partial_batches
from cnn_jax.training.freeze import frozen_batch_norm

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 3, 3, 2)).astype(np.float32)
KEY = jax.random.key(0)


class Net(nn.Module):
    """Flags as fields, as Flax's examples have them, or as arguments."""

    as_fields: bool = True
    axis_name: str | None = None
    rate: float = 0.0

    @nn.compact
    def __call__(self, x, *, train):
        if self.as_fields:
            x = nn.BatchNorm(use_running_average=not train, axis_name=self.axis_name, name="norm")(x)
            return nn.Dropout(self.rate, deterministic=not train, name="drop")(x)
        x = nn.BatchNorm(axis_name=self.axis_name, name="norm")(x, not train)
        return nn.Dropout(self.rate, name="drop")(x, deterministic=not train)


def step(net, train=True):
    variables = net.init({"params": KEY, "dropout": KEY}, IMAGES, train=False)
    y, state = net.apply(variables, IMAGES, train=train, mutable=["batch_stats"], rngs={"dropout": KEY})
    return y, state["batch_stats"]["norm"]["mean"]


@pytest.mark.parametrize("as_fields", [True, False])
@pytest.mark.parametrize(
    ("freeze", "frozen_norm", "moves"),
    [(None, False, True), ("norm", False, False), ("(?!norm)", False, True), (None, True, False)],
)
def test_a_frozen_batch_norm_of_flax_is_evaluation(as_fields, freeze, frozen_norm, moves):
    net = Net(as_fields)
    with context(frozen_norm=frozen_norm), frozen_batch_norm(freeze):
        y, mean = step(net)
    expected, stays = step(net, train=False)
    assert np.array_equal(mean, stays) != moves
    assert np.array_equal(y, expected) != moves


@pytest.mark.parametrize("as_fields", [True, False])
@pytest.mark.parametrize(
    ("batch", "parts", "changes", "net", "message"),
    [
        (
            "data",
            1,
            {},
            {},
            r"`norm` is Flax's BatchNorm: .* each device by itself\. Take cnn_jax.modules.BatchNorm in",
        ),
        ("data", 1, {"ghost_batch": 2}, {"axis_name": "data"}, r"ghost batches, and `model.ghost_batch` is 2"),
        (None, 1, {"unbiased_variance": True}, {}, r"`model.unbiased_variance` is True"),
        (None, 2, {}, {"rate": 0.5}, r"`drop` is Flax's Dropout: .* 2 micro-batches\. Take cnn_jax.modules.Dropout"),
    ],
)
def test_a_layer_that_does_not_see_the_batch_is_refused_with_the_remedy(as_fields, batch, parts, changes, net, message):
    net = Net(as_fields, **net)
    with context(**changes), refuse_partial_batches(batch, parts):
        with pytest.raises(ValueError, match=message):
            step(net)
        step(net, train=False)


def test_under_pmap_a_frozen_batch_norm_serves_and_dropout_does_not():
    with frozen_batch_norm("norm"), refuse_partial_batches("data", 1):
        step(Net())
        with pytest.raises(ValueError, match="`drop` is Flax's Dropout: it drops the same places on each device"):
            step(Net(rate=0.5))


@pytest.mark.parametrize("net", [{}, {"rate": 0.5}])
def test_on_a_whole_batch_they_are_as_they_were(net):
    with refuse_partial_batches(None, 1):
        y, mean = step(Net(**net))
    np.testing.assert_array_equal(y, step(Net(**net))[0])
    np.testing.assert_array_equal(mean, step(Net(**net))[1])
