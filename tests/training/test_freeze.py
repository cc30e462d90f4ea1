"""What is frozen stays to the bit, and the rest trains as if the frozen part were a constant."""

import dataclasses
import doctest

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from cnn_jax.config import Config, ConfigError, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.data import train_batches
from cnn_jax.models import features
from cnn_jax.runs.session import open_session
from cnn_jax.training import freeze

CONFIG = Config(
    model=ModelConfig("resnet8_cifar", options={"width": 0.25}, conv="xla"),
    data=DataConfig("digits", batch_size=16),
    optim=OptimConfig("sgd", learning_rate=0.5, weight_decay=0.1, schedule="constant"),
    train=TrainConfig(steps=2),
)


def session_of(model=CONFIG.model, **optim):
    return open_session(dataclasses.replace(CONFIG, model=model, optim=dataclasses.replace(CONFIG.optim, **optim)))


def first_batch(session):
    return next(train_batches(session.dataset("train"), 16, seed=0))


def test_frozen_parameters_and_statistics_stay_and_the_others_move():
    # LAMB scales each array's step to its norm, remat and micro-batches wrap the forward pass: all the harder to hold.
    model = dataclasses.replace(CONFIG.model, remat=True)
    parallel = dataclasses.replace(CONFIG.parallel, accumulate=2)
    optim = dataclasses.replace(CONFIG.optim, name="lamb", freeze="stem|stage1", ema_decay=0.5)
    session = open_session(dataclasses.replace(CONFIG, model=model, parallel=parallel, optim=optim))
    before = session.drawn_state()
    after, _ = jax.jit(session.train_step)(before, first_batch(session))
    for collection in ("params", "batch_stats", "ema", "ema_batch_stats"):
        old, new = (flatten_dict(getattr(state, collection)) for state in (before, after))
        for path, leaf in old.items():
            frozen = path[0].startswith(("stem", "stage1"))
            assert np.array_equal(leaf, new[path]) == frozen, (collection, path)


def test_the_head_on_frozen_features_is_logistic_regression():
    session = session_of(freeze="(?!head)", arguments={"momentum": 0.0})
    state, batch = session.drawn_state(), first_batch(session)
    after, metrics = jax.jit(session.train_step)(state, batch)
    images = (batch["image"] / np.float32(255) - np.float32(session.info.mean)) / np.float32(session.info.std)
    pool = jax.jit(lambda variables, images: features(session.model, variables, images)["pool"])
    x = np.asarray(pool(state.eval_variables, images))  # as in evaluation
    kernel, bias = (np.asarray(state.params["head"][k]) for k in ("kernel", "bias"))
    exponentials = np.exp(x @ kernel + bias)
    error = exponentials / exponentials.sum(1, keepdims=True) - np.eye(10)[batch["label"]]
    slope, rate = x.T @ error / 16, 0.5 * 16 / 256
    np.testing.assert_allclose(after.params["head"]["kernel"], kernel - rate * (slope + 0.1 * kernel), atol=1e-6)
    np.testing.assert_allclose(after.params["head"]["bias"], bias - rate * error.mean(0), atol=1e-6)
    norm = np.sqrt((slope**2).sum() + (error.mean(0) ** 2).sum())
    assert float(metrics.compute()["grad_norm"]) == pytest.approx(norm, rel=1e-4)
    for old, new in zip(jax.tree.leaves(state.batch_stats), jax.tree.leaves(after.batch_stats), strict=True):
        np.testing.assert_array_equal(old, new)


def test_frozen_layers_have_no_backward_pass():
    flops = []
    for frozen in (None, "(?!head)"):
        session = session_of(freeze=frozen)
        shapes = jax.eval_shape(session.make_state)
        flops.append(jax.jit(session.train_step).lower(shapes, first_batch(session)).cost_analysis()["flops"])
    assert flops[1] < 0.4 * flops[0]  # a forward pass is a third of a step


def test_the_optimiser_keeps_nothing_for_frozen_parameters():
    states = [jax.eval_shape(session_of(freeze=f).make_state) for f in (None, "(?!head)")]
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(state.opt_state)) for state in states]
    head = sum(leaf.size for leaf in jax.tree.leaves(states[0].params["head"]))
    assert head <= sizes[1] < head + 3 < sizes[0]  # beside the momentum, a counter of steps


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(", r"`optim.freeze`: '\(' is no regular expression"),
        ("layer1", r"`optim.freeze`: 'layer1' matches no parameter. The network's layers: .*stage1_block1"),
        ("", r"`optim.freeze`: '' matches every parameter"),
    ],
    ids=["broken", "nothing", "everything"],
)
def test_an_expression_that_cannot_be_meant_is_refused(expression, message):
    with pytest.raises(ConfigError, match=message):
        session_of(freeze=expression)


def test_the_example_runs():
    result = doctest.testmod(freeze)
    assert result.failed == 0 and result.attempted > 0
