"""Many steps in one call, as on a GPU: however many, the run ends with the same bits, stopped and resumed as well.

The platform is named, so that a CPU runs the loop.
"""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest
from small_network import Small
from stored_run import lines, sums

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, ParallelConfig, TrainConfig, ops
from cnn_jax.config import ConfigError, check_types
from cnn_jax.data import load_dataset, train_batches, train_rows
from cnn_jax.runs import Logged, Saved, train, training_events, verify
from cnn_jax.runs.calls import Calls, loops
from cnn_jax.runs.console.signals import Stopped
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import Session, open_session


def blend(key, images, targets):
    share = jax.random.uniform(key)
    return share * images + (1 - share) * images[::-1], share * targets + (1 - share) * targets[::-1]


STEPS = 50
CONFIG = Config(
    model=ModelConfig(Small, conv="xla"),
    data=DataConfig("digits", batch_size=32, augment=("pad_crop(1)",), mix=(blend,)),
    optim=OptimConfig(learning_rate=0.2, ema_decay=0.9),
    train=TrainConfig(steps=STEPS, log_every=STEPS, eval_every=STEPS, checkpoint_every=STEPS),
    parallel=ParallelConfig(accumulate=2),
)


def configured(base=CONFIG, **changes):
    return dataclasses.replace(base, train=dataclasses.replace(base.train, **changes))


def opened(config):
    return open_session(resolve_parts(check_types(config)))


@pytest.fixture(autouse=True)
def on_a_gpu():
    with ops.context(platform="cuda"):
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """In one call."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with ops.context(platform="cuda"):
        train(CONFIG, run)
    return run


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_calls_of_any_length_end_with_the_same_bits(whole, tmp_path, count):
    train(configured(steps_per_call=count), tmp_path)
    assert sums(tmp_path, STEPS) == sums(whole, STEPS) and lines(tmp_path) == lines(whole)


def test_a_call_ends_where_something_is_to_be_done_and_a_run_left_there_resumes(whole, tmp_path):
    """Left at a line, stopped by a signal at a checkpoint, and ended in calls of another length."""
    with pytest.raises(Stopped, match="SIGTERM"):
        for event in training_events(configured(log_every=9, checkpoint_every=11), tmp_path):
            if isinstance(event, Saved) and event.step == 22:
                os.kill(os.getpid(), signal.SIGTERM)
    assert Checkpoints(tmp_path / "checkpoints", read_only=True).steps[-1] == 27
    events = training_events(configured(log_every=9, steps_per_call=4), tmp_path)
    seen = [event.step for event in events if isinstance(event, Logged) and event.split == "train"]
    assert seen == [36, 45, 50]
    assert [line["step"] for line in lines(tmp_path) if line["split"] == "train"] == [9, 18, 27, 36, 45, 50]
    assert sums(tmp_path, STEPS) == sums(whole, STEPS) and lines(tmp_path)[-1] == lines(whole)[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optim": OptimConfig("adamw", learning_rate=0.01, freeze="stem", unfreeze=("stem=0.43",))},
        {"optim": OptimConfig(learning_rate=0.2, gradient="sam", clip_norm=1.0)},
        {
            "model": ModelConfig("lenet5", conv="xla", options={"dropout": 0.5}),
            "data": DataConfig(batch_size=16, augment=("resize(28)", "rotate(5)"), eval_augment=("resize(28)",)),
        },
        {"data": DataConfig(batch_size=32, mix=("mixup(0.2)", "cutmix()"), examples_per_class=30, label_noise=0.2)},
    ],
    ids=["freezing", "sam", "dropout", "subset"],
)
def test_other_steps_have_the_same_bits_too(tmp_path, changes):
    config = dataclasses.replace(configured(steps=24, log_every=24), **changes)
    found = []
    for count, at in ((24, None), (1, None), (7, None), (24, 10), (60, None)):
        run = tmp_path / f"{count} {at}"
        events = training_events(configured(config, steps_per_call=count, log_every=at), run)
        if at is not None:
            next(events)
        events.close()
        train(configured(config, steps_per_call=count), run)
        found.append(sums(run, 24))
    assert all(each == found[0] for each in found)


@pytest.mark.slow
def test_verification_makes_the_same_calls(whole, monkeypatch):
    made, real = [], Session.compile_train_step
    monkeypatch.setattr(Session, "compile_train_step", lambda *given: (made.append(len(given[2:])), real(*given))[1])
    assert verify(whole, trust_code=True)["equal"]
    assert set(made) == {2}  # with the images and labels


def test_who_runs_calls_of_many_steps_reads_so_in_the_first_line(whole, tmp_path, capsys):
    train(configured(steps=2, log_every=2, eval_every=2, checkpoint_every=2, steps_per_call=7), tmp_path)
    assert "at batch 32, up to 7 in a call" in capsys.readouterr().err.splitlines()[0]
    with pytest.raises(ConfigError, match=r"`train\.steps_per_call` is 1001: it must be at most 1000"):
        opened(configured(steps_per_call=1001))


def test_calls_end_at_multiples_at_single_steps_and_where_what_is_frozen_changes():
    config = dataclasses.replace(CONFIG, optim=OptimConfig(freeze="stem", unfreeze=("stem=0.5",)))
    session = opened(configured(config, steps_per_call=8))
    calls = Calls(session, STEPS, every=(20,), at=(3, 4))
    assert [count for count, _ in calls.given(0)] == [3, 1, 8, 8, 5, 8, 7, 8, 2]
    assert [count for count, _ in calls.given(38)] == [2, 8, 2]
    with ops.context(platform="cpu"):
        assert [count for count, _ in Calls(session, STEPS, every=(20,)).given(45)] == [1] * 5


@pytest.mark.parametrize("rows", [None, slice(16, 32)], ids=["all", "of a process"])
def test_rows_are_those_of_the_batches(rows):
    data, start = load_dataset("digits", "train"), 30
    batches = train_batches(data, 32, seed=3, start=start, rows=rows)  # the data set has 39.3 batches
    found = train_rows(len(data), 32, 12, 20, seed=3, start=start, rows=rows)
    for column in range(12):
        batch = next(batches)
        for name in ("index", "epoch"):
            np.testing.assert_array_equal(found[name][:, column], batch[name])
    assert all(array.dtype == np.int32 and (array[:, 12:] == -1).all() for array in found.values())
    assert found["index"].shape == (32 if rows is None else 16, 20)


def test_what_does_not_fit_on_a_device_stays_on_the_host():
    info = opened(CONFIG).info
    fashion = dataclasses.replace(info, num_examples=60_000, image_shape=(28, 28, 1))
    assert loops(info) and loops(fashion)
    assert not loops(dataclasses.replace(info, are_files=True))
    assert not loops(dataclasses.replace(info, num_examples=100_000, image_shape=(64, 64, 3)))
    with ops.context(platform="cpu"):
        assert not loops(info)


def test_a_number_of_steps_that_no_device_heeds_is_refused(monkeypatch):
    monkeypatch.setattr("cnn_jax.runs.calls.MOST_RESIDENT", 1000)
    with pytest.raises(ConfigError, match=r"steps_per_call` is 7: it has no effect on digits, whose images stay"):
        opened(configured(steps_per_call=7))
    with pytest.raises(ConfigError, match=r"steps_per_call` is 0: it must be positive"):
        opened(configured(steps_per_call=0))
