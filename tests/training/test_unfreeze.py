"""Gradual unfreezing: what is frozen stays to the bit until its step, and begins there as if the run began with it."""

import contextlib
import dataclasses
import itertools

import jax
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict
from small_network import Small

from cnn_jax import open_run, train, training_events, verify
from cnn_jax.config import (
    Config,
    ConfigError,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    TrainConfig,
    check_types,
)
from cnn_jax.runs.loop import Saved
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.training.freeze import Phase, begin_by_phase, phases

CONFIG = Config(
    model=ModelConfig("resnet8_cifar", options={"width": 0.25}, conv="xla"),
    data=DataConfig("digits", batch_size=16),
    optim=OptimConfig(
        "adamw",
        learning_rate=0.05,
        weight_decay=0.1,
        ema_decay=0.5,
        clip_norm=1.0,
        freeze="(?!head)",
        unfreeze=("stage3=0.5", "stage2=0.75"),
    ),
    train=TrainConfig(steps=4),
)


def session_of(config=CONFIG, **optim):
    return open_session(dataclasses.replace(config, optim=dataclasses.replace(config.optim, **optim)))


def states(session, steps=4):
    """The state before the first step, and after each."""
    carry = session.carry(session.drawn_state())
    yield jax.device_get(carry["state"])
    for step, batch in enumerate(itertools.islice(session.training_batches(0), steps)):
        carry, _ = session.compile_train_step(step)(carry, session.layout.put(batch))
        yield jax.device_get(carry["state"])


def moved(before, after):
    """The layers of which something moved, in each part of the state."""
    found = {}
    for part in ("params", "batch_stats", "ema", "ema_batch_stats"):
        old, new = (flatten_dict(getattr(state, part)) for state in (before, after))
        found[part] = {path[0].partition("_")[0] for path, leaf in old.items() if not np.array_equal(leaf, new[path])}
    return found


@pytest.mark.parametrize(
    ("model", "unfreeze", "expected"),
    [
        (ModelConfig(Small, conv="xla"), ("stem=0.5",), [{"head"}, {"head"}, {"head", "stem"}, {"head", "stem"}]),
        pytest.param(
            CONFIG.model,
            CONFIG.optim.unfreeze,
            [{"head"}, {"head"}, {"head", "stage3"}, {"head", "stage3", "stage2"}],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["small", "resnet8"],
)
def test_what_is_frozen_stays_to_the_bit_until_its_step(model, unfreeze, expected):
    parallel = ParallelConfig(accumulate=2)  # micro-batches wrap the forward pass: all the harder to hold
    config = resolve_parts(check_types(dataclasses.replace(CONFIG, model=model, parallel=parallel)))
    before, *after = states(session_of(config, unfreeze=unfreeze))
    for layers, (old, new) in zip(expected, itertools.pairwise([before, *after]), strict=True):
        found = moved(old, new)
        assert found["params"] == found["ema"] == layers
        assert found["batch_stats"] == found["ema_batch_stats"] == layers - {"head"}
    assert len({str(jax.tree.structure(state)) for state in after}) == 1
    assert len({str(jax.tree.map(np.shape, state)) for state in after}) == 1


@pytest.mark.slow
def test_a_phase_is_the_step_of_a_run_in_which_that_much_is_frozen():
    """The same bits as with `optim.freeze` alone, as long as nothing was freed; and then, where there is no memory."""
    plain = {"name": "sgd", "arguments": {"momentum": 0.0}, "schedule": "constant", "ema_decay": None}
    *_, third, fourth = states(session_of(**plain, unfreeze=("stage3=0.5",)))
    alone = session_of(**plain, freeze="stem|stage1|stage2", unfreeze=())
    batch = next(itertools.islice(alone.training_batches(3), 1))
    begun = dataclasses.replace(third, opt_state=jax.device_get(alone.drawn_state()).opt_state)
    carry, _ = alone.compile_train_step()(alone.carry(jax.device_put(begun)), alone.layout.put(batch))
    state = carry["state"]
    jax.tree.map(np.testing.assert_array_equal, state.params, fourth.params)
    jax.tree.map(np.testing.assert_array_equal, state.batch_stats, fourth.batch_stats)


def test_an_optimiser_begins_where_its_parameters_do():
    params = {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32), "c": np.ones(3, np.float32)}
    gradient = {name: np.full(3, 0.5, np.float32) for name in params}
    parts = phases("b|c", [("b", 2)])
    assert parts == [Phase(0, "b|c"), Phase(2, "(?!b)(?:b|c)")]
    rate = lambda step: 0.1 / (1.0 + step)  # noqa: E731

    def make(first):
        return optax.adamw(lambda step: rate(step + first), weight_decay=0.1)

    state = begin_by_phase(make, parts, 0).init(params)
    alone, alone_state, moving = make(2), make(2).init(params["b"]), params["b"]
    for step in range(4):
        updates, state = begin_by_phase(make, parts, int(step >= 2)).update(gradient, state, params)
        assert not np.any(updates["c"]) and np.any(updates["a"]) and np.any(updates["b"]) == (step >= 2)
        params = optax.apply_updates(params, updates)
        if step >= 2:
            update, alone_state = alone.update(gradient["b"], alone_state, moving)
            moving = optax.apply_updates(moving, update)
    np.testing.assert_array_equal(params["b"], moving)
    np.testing.assert_array_equal(params["c"], np.ones(3))


@pytest.mark.slow
def test_a_run_that_is_stopped_before_and_goes_on_past_a_phase_has_the_same_bits(tmp_path):
    model = ModelConfig(Small, conv="xla")
    optim = OptimConfig("adamw", learning_rate=0.05, freeze="stem", unfreeze=("stem=0.5",))
    config = Config(model=model, data=CONFIG.data, optim=optim, train=TrainConfig(steps=4, checkpoint_every=1))
    train(config, tmp_path / "whole")
    with contextlib.closing(training_events(config, tmp_path / "stopped")) as events:
        next(event for event in events if isinstance(event, Saved))
    train(config, tmp_path / "stopped")
    left, right = (open_run(tmp_path / name).variables() for name in ("whole", "stopped"))
    jax.tree.map(np.testing.assert_array_equal, left, right)
    assert verify(tmp_path / "stopped", first=0)["equal"]


@pytest.mark.slow
def test_a_phase_costs_what_moves_in_it():
    session = session_of()
    flops = []
    for phase in range(3):
        step = session._train_step(phase, 0, 0)
        shapes = session.abstract_checkpoint()["state"], session.abstract_batch()
        flops.append(jax.jit(step).lower(*shapes).cost_analysis()["flops"])
    assert flops[0] < 0.75 * flops[1] < 0.75 * flops[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze": None}, r"`optim.unfreeze` is \['stage3=0.5', 'stage2=0.75'\]: it has no effect without"),
        ({"unfreeze": ("stage3",)}, r"'stage3' must be PATTERN=FRACTION with a fraction of the run between 0 and 1"),
        ({"unfreeze": ("stage3=1",)}, "'stage3=1' must be PATTERN=FRACTION"),
        ({"unfreeze": ("head=0.5",)}, "'head' matches no parameter that is frozen until then"),
        ({"unfreeze": ("stage=0.5", "stage1=0.7")}, "'stage1' matches no parameter that is frozen until then"),
        ({"unfreeze": ("layer3=0.5",)}, "'layer3' matches no parameter"),
    ],
    ids=["without_freeze", "no_fraction", "at_the_end", "not_frozen", "free_already", "unknown"],
)
def test_what_frees_nothing_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        session_of(**changes)
