"""Dynamic loss scaling: the arithmetic of the scale, and steps that are skipped."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_network import Small

from cnn_jax.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, check_types
from cnn_jax.data import train_batches
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.training.loss_scale import GROWTH_INTERVAL_STEPS, LossScale, all_finite


def test_overflow_halves_the_scale_and_never_below_one():
    scale = LossScale(jnp.float32(4), jnp.int32(7))
    for wanted in (2, 1, 1):
        scale = scale.adjust(jnp.asarray(False))
        assert (float(scale.scale), int(scale.good_steps)) == (wanted, 0)


def test_a_long_time_without_overflow_doubles_the_scale():
    scale = LossScale(jnp.float32(4), jnp.int32(GROWTH_INTERVAL_STEPS - 2))
    scale = scale.adjust(jnp.asarray(True))
    assert (float(scale.scale), int(scale.good_steps)) == (4, GROWTH_INTERVAL_STEPS - 1)
    scale = scale.adjust(jnp.asarray(True))
    assert (float(scale.scale), int(scale.good_steps)) == (8, 0)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_one_bad_number_is_found(bad):
    tree = {"a": jnp.ones(3), "b": jnp.ones((2, 2))}
    assert bool(all_finite(tree))
    assert not bool(all_finite(tree | {"b": jnp.ones((2, 2)).at[1, 0].set(bad)}))


@pytest.fixture(scope="module")
def steps():
    """A float16 session, its compiled step, and a function that gives a fresh state of some scale."""
    config = Config(
        model=ModelConfig(Small, dtype="float16", conv="xla"),
        data=DataConfig("digits", batch_size=16),
        optim=OptimConfig("sgd", learning_rate=0.1),
        train=TrainConfig(steps=10),
    )
    session = open_session(resolve_parts(check_types(config)))
    batch = session.layout.put(next(train_batches(session.dataset("train"), 16, seed=0)))
    step = jax.jit(session.train_step)

    def run(scale):
        state = session.drawn_state()
        state = dataclasses.replace(state, loss_scale=LossScale(jnp.float32(scale), jnp.int32(3)))
        return state, *step(state, batch)

    return run


def test_a_step_whose_gradients_overflow_changes_nothing_but_the_scale_and_the_step(steps):
    before, after, metrics = steps(2.0**40)
    for part in ("params", "batch_stats"):
        for old, new in zip(*(jax.tree.leaves(getattr(s, part)) for s in (before, after)), strict=True):
            np.testing.assert_array_equal(old, new)
    assert int(after.step) == 1
    assert float(after.loss_scale.scale) == 2.0**39
    values = metrics.compute()
    assert int(values["skipped_steps"]) == 1
    assert np.isfinite(values["loss"])
    assert float(values["grad_norm"]) == 0


def test_the_scale_does_not_change_the_gradient(steps):
    norms = []
    for scale in (2.0**6, 2.0**10):
        before, after, metrics = steps(scale)
        assert int(after.loss_scale.good_steps) == 4
        assert int(metrics.compute()["skipped_steps"]) == 0
        moved = [
            np.abs(a - b).max() for a, b in zip(*(jax.tree.leaves(s.params) for s in (before, after)), strict=True)
        ]
        assert max(moved) > 0
        norms.append(float(metrics.compute()["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=0.02)  # float16 keeps three digits
