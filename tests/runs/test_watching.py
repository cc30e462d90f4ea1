"""A run that is watched: what happens is given as it happens, and watching changes nothing."""

import contextlib
import dataclasses
import json
import time

import jax
import numpy as np
import pytest
from small_network import Small
from stored_run import lines, sums

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.runs import Finished, Logged, Saved, evaluate, list_runs, train, training_events
from cnn_jax.runs.folder.stored import read_run

CONFIG = Config(
    model=ModelConfig(Small, conv="xla"),
    data=DataConfig("digits", batch_size=64),
    optim=OptimConfig(learning_rate=0.2),
    train=TrainConfig(steps=12, log_every=5, eval_every=6, checkpoint_every=4),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    return run, train(CONFIG, run)


def test_every_line_and_save_is_an_event_and_the_last_is_the_result(trained, tmp_path, capsys):
    run, result = trained
    events = list(training_events(CONFIG, tmp_path))
    assert "step" not in capsys.readouterr().err  # quiet
    logged = [event for event in events if isinstance(event, Logged)]
    assert [(e.step, e.split) for e in logged] == [(line["step"], line["split"]) for line in lines(tmp_path)]
    assert [e.step for e in events if isinstance(e, Saved)] == [4, 8, 12]
    assert events[-1] == Finished(dataclasses.replace(result, run=tmp_path))
    assert sums(tmp_path, 12) == sums(run, 12) and lines(tmp_path) == lines(run)


def test_the_state_can_be_looked_at_where_it_is_saved(trained, tmp_path):
    seen = {event.step: event.state() for event in training_events(CONFIG, tmp_path) if isinstance(event, Saved)}
    assert sorted(seen) == [4, 8, 12] and [int(seen[step].step) for step in seen] == [4, 8, 12]
    assert sums(tmp_path, 12) == sums(trained[0], 12)
    kernels = [state.params["head"]["kernel"] for state in seen.values()]
    assert not np.array_equal(kernels[0], kernels[1]) and isinstance(kernels[0], np.ndarray)


# A training line is given one step late, so that the device works while it is written.
@pytest.mark.parametrize(("step", "saved"), [(5, 6), *(pytest.param(k, k, marks=pytest.mark.slow) for k in (6, 8))])
def test_leaving_the_loop_saves_and_the_same_call_continues(trained, tmp_path, step, saved):
    events = training_events(CONFIG, tmp_path)
    for event in events:
        if event.step >= step:
            break
    events.close()
    record = read_run(tmp_path).record[-1]
    assert record["ended"] == "stopped" and record["last_step"] == saved
    assert list_runs(tmp_path)[0]["state"] == "stopped"
    *_, last = training_events(CONFIG, tmp_path)
    assert last.result.test == trained[1].test
    assert sums(tmp_path, 12) == sums(trained[0], 12) and lines(tmp_path) == lines(trained[0])


def test_leaving_where_the_next_line_is_due_as_well_loses_none(tmp_path):
    config = dataclasses.replace(CONFIG, train=TrainConfig(steps=6, log_every=1, test="never"))
    events = training_events(config, tmp_path)
    assert next(events).step == 1
    looked = 1.0
    time.sleep(looked)
    events.close()
    assert read_run(tmp_path).record[-1]["last_step"] == 2
    left = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert left["step"] == 2
    assert config.data.batch_size / left["time/images_per_s"] < looked  # the clock stops for who looks
    train(config, tmp_path)
    assert [line["step"] for line in lines(tmp_path) if line["split"] == "train"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_an_error_of_who_watches_ends_the_run_as_resumably(trained, tmp_path):
    with (
        pytest.raises(ZeroDivisionError, match="seen enough"),
        contextlib.closing(training_events(CONFIG, tmp_path)) as events,
    ):
        for event in events:
            if event.step >= 5:
                raise ZeroDivisionError("seen enough")
    assert train(CONFIG, tmp_path).test == trained[1].test
    assert sums(tmp_path, 12) == sums(trained[0], 12)


def test_a_run_may_leave_its_test_split_alone(trained, tmp_path):
    untested = dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, test="never"))
    for _ in range(2):  # the second finds it finished
        assert train(untested, tmp_path).test is None
    assert sums(tmp_path, 12) == sums(trained[0], 12)
    assert "test" not in {line["split"] for line in lines(tmp_path)}
    assert list_runs(tmp_path)[0]["state"] == "finished"
    assert train(CONFIG, tmp_path).test == trained[1].test  # the same experiment, looked at
    assert lines(tmp_path) == lines(trained[0])


def test_variables_are_read_without_the_optimiser(trained, monkeypatch):
    from cnn_jax.runs import build, session

    monkeypatch.setattr(build, "optimizer", lambda *_: pytest.fail("an optimiser was made"))
    monkeypatch.setattr(session, "load_training", lambda *_: pytest.fail("training data were opened"))
    figures = evaluate(trained[0])
    assert figures["loss"] == trained[1].test["loss"]
    assert jax.devices()
