"""The moving average, of parameters and of BatchNorm's statistics, against a loop over the states that it averages."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_network import Small

from cnn_jax.config import Config, DataConfig, ModelConfig, OptimConfig, ParallelConfig, TrainConfig, check_types
from cnn_jax.data import train_batches
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.training.average import moving_average
from cnn_jax.training.loss_scale import LossScale

CONFIG = Config(
    model=ModelConfig(Small, conv="xla"),
    data=DataConfig("digits", batch_size=32),
    optim=OptimConfig("sgd", learning_rate=0.8, schedule="constant", ema_decay=0.3),
    train=TrainConfig(steps=60),
)
QUICK = {"xla_backend_optimization_level": 0}


def session_of(config):
    return open_session(resolve_parts(check_types(config)))


def states_of(config, count, change=lambda state: state):
    """The states before and after each of the first steps, as NumPy arrays."""
    session = session_of(config)
    session.layout.compile = lambda step, *arrays, donate=False: session.layout.lower(
        step, *arrays, donate=donate
    ).compile(compiler_options=QUICK)
    step, carry = session.compile_train_step(), session.carry(change(session.drawn_state()))
    yield jax.tree.map(np.array, carry["state"])
    for batch in itertools.islice(train_batches(session.training_data(), 32, seed=0), count):
        carry, _ = step(carry, session.layout.put(batch))
        yield jax.tree.map(np.array, carry["state"])


def averaged(values, decay):
    """The average of a sequence of trees, the first of them its start, in float64."""
    average = jax.tree.map(lambda leaf: leaf.astype(np.float64), next(values))
    for updates, tree in enumerate(values):
        d = min(decay, (1 + updates) / (10 + updates))
        average = jax.tree.map(lambda a, leaf, d=d: d * a + (1 - d) * leaf, average, tree)
    return average


def assert_near(found, wanted):
    """Within the rounding of a dozen float32 updates."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_the_average_warms_up_to_its_decay():
    values = [{"a": np.random.default_rng(k).normal(size=5).astype(np.float32)} for k in range(200)]
    average = values[0]
    for updates, value in enumerate(values[1:]):
        average = moving_average(average, value, decay=0.9, updates=jnp.int32(updates))
    assert_near(average, averaged(iter(values), 0.9))


def test_what_does_not_move_is_its_own_average_to_the_bit():
    value = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    for updates in (0, 3, 10**6):
        same = moving_average(value, value, decay=0.9999, updates=jnp.int32(updates))
        np.testing.assert_array_equal(same, value)


@pytest.mark.parametrize("strategy", ["jit", *(pytest.param(s, marks=pytest.mark.slow) for s in ("pmap", "fsdp"))])
def test_parameters_and_statistics_are_averaged_alike(strategy):
    parallel = ParallelConfig(strategy=strategy, accumulate=2)
    states = list(states_of(dataclasses.replace(CONFIG, parallel=parallel), 6))
    last = states[-1]
    assert_near(last.ema, averaged((state.params for state in states), 0.3))
    assert_near(last.ema_batch_stats, averaged((state.batch_stats for state in states), 0.3))
    assert last.eval_variables == {"params": last.ema, "batch_stats": last.ema_batch_stats}
    assert last.ema_updates is None  # as many as steps


@pytest.mark.slow
def test_steps_that_loss_scaling_skips_are_none_of_the_average_s():
    config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, dtype="float16"))

    def overflowing(state):
        return dataclasses.replace(state, loss_scale=LossScale(jnp.float32(2.0**40), jnp.int32(0)))

    states = list(states_of(config, 32, overflowing))
    taken = [states[0], *(b for a, b in itertools.pairwise(states) if b.loss_scale.good_steps)]
    assert 3 < len(taken) < 30
    for state in states[:2]:
        assert state.ema_updates == 0
        jax.tree.map(np.testing.assert_array_equal, state.eval_variables, states[0].eval_variables)
    assert states[-1].ema_updates == len(taken) - 1
    assert_near(states[-1].ema, averaged((state.params for state in taken), 0.3))
    assert_near(states[-1].ema_batch_stats, averaged((state.batch_stats for state in taken), 0.3))


@pytest.mark.parametrize(
    "decay",
    [pytest.param(0.95, id="half_a_run"), pytest.param(0.9999, id="longer_than_the_run")],
)
@pytest.mark.slow
def test_a_short_run_s_average_classifies_as_well_as_its_last_parameters(decay):
    optim = dataclasses.replace(CONFIG.optim, learning_rate=1.6, ema_decay=decay)
    config = dataclasses.replace(CONFIG, optim=optim)
    *_, state = states_of(config, 100)
    session = session_of(config)
    test = session.dataset("test")
    images, classify = test.images(np.arange(len(test))), jax.jit(session.logits)
    top1 = [
        np.mean(np.argmax(classify(variables, images), 1) == test.labels)
        for variables in (
            dataclasses.replace(state, ema=None, ema_batch_stats=None).eval_variables,
            state.eval_variables,
        )
    ]
    assert top1[0] > 0.8  # it has learned
    assert top1[1] > top1[0] - 0.05


def test_the_tree_of_a_run_without_an_average_knows_nothing_of_it():
    without = dataclasses.replace(CONFIG, optim=dataclasses.replace(CONFIG.optim, ema_decay=None))
    names = []
    for config in (without, CONFIG):
        state = jax.eval_shape(session_of(config).make_state)
        names.append({path[0].name for path, _ in jax.tree.leaves_with_path(state, is_leaf=lambda x: x is None)})
    assert names[0] == {"step", "params", "batch_stats", "opt_state", "ema", "loss_scale"}
    assert names[1] == names[0] | {"ema_batch_stats"}


def test_a_checkpoint_holds_the_averaged_statistics(tmp_path):
    session = session_of(CONFIG)
    state = session.drawn_state()
    moved = dataclasses.replace(state, ema_batch_stats=jax.tree.map(lambda leaf: leaf + 1, state.ema_batch_stats))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, session.carry(moved))
    restored = checkpoints.restore(0, session.abstract_checkpoint())["state"]
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, restored, moved)
