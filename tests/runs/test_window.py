"""What a log line says of the steps since the last one, their means and their time; and what it costs to say it."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_network import Small

from cnn_jax import Config, DataConfig, ModelConfig, TrainConfig, train
from cnn_jax.runs.log_window import LogWindow
from cnn_jax.training.carry import carrying
from cnn_jax.training.metrics import TrainMetrics
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import no_train_metrics


def step_metrics(k):
    values = jnp.sin(jnp.arange(8.0) + k)
    return TrainMetrics.single_from_model_output(
        loss=values, top1=values > 0, top5=values > -0.5, grad_norm=jnp.float32(k), learning_rate=jnp.float32(k / 10)
    )


def step(state, k):
    return TrainState(state.step + 1, {}, {}, (), None), step_metrics(k)


# Donated, as a run's: an array that is used again afterwards would be an error.
STEP = jax.jit(carrying(step), donate_argnums=0)


def after(steps):
    """The metrics of some steps, merged as a run merges them."""
    carry = {"state": TrainState(jnp.int32(0), {}, {}, (), None), "window": no_train_metrics(jnp.float32)}
    for number, k in enumerate(steps, 1):
        carry, made = STEP(carry, jnp.float32(k))
        assert int(made) == number
    return carry["window"]


def test_a_line_gives_means_and_the_last_rate():
    values = LogWindow(batch_size=8).line(after(range(5)))
    assert values["loss"] == pytest.approx(float(jnp.sin(jnp.arange(5)[:, None] + jnp.arange(8.0)).mean()), rel=1e-5)
    assert values["grad_norm"] == pytest.approx(2.0)
    assert values["learning_rate"] == pytest.approx(0.4)


def test_the_first_step_merged_into_an_empty_window_has_its_own_bits():
    jax.tree.map(np.testing.assert_array_equal, after([3]), jax.jit(step_metrics)(jnp.float32(3)))


def test_steps_merged_on_the_device_are_those_merged_on_the_host():
    found, expected = after([0]), jax.device_get(after([0]))
    for k in range(1, 6):
        expected = expected.merge(jax.device_get(after([k])))
    jax.tree.map(np.testing.assert_array_equal, after(range(6)), expected)
    assert int(found.loss.count) == 8


def test_a_line_counts_the_time_without_a_batch():
    window, made = LogWindow(batch_size=8), jnp.zeros(())
    window.add(1, made)
    window.line(after([0]))
    window.add(1, made)
    with window.waiting():
        time.sleep(0.2)
    time.sleep(0.1)
    assert 0.2 < window.line(after([1]))["time/waiting_for_data"] < 0.9
    window.add(1, made)
    assert window.line(after([2]))["time/waiting_for_data"] == 0


def test_the_times_of_all_lines_add_up_to_the_time_that_passed(monkeypatch):
    """A device that takes 20 ms a step, and a host that is late with each line and does other things in between."""
    clock, device = [100.0], [100.0]
    monkeypatch.setattr("cnn_jax.runs.log_window.time.perf_counter", lambda: clock[0])

    def wait(what):
        clock[0] = max(clock[0], device[0])
        return what

    metrics = jax.device_get(after([0]))
    monkeypatch.setattr("cnn_jax.runs.log_window.jax.block_until_ready", wait)
    monkeypatch.setattr("cnn_jax.runs.log_window.jax.device_get", wait)
    window, shown, due = LogWindow(batch_size=8), 0.0, False
    for step in range(1, 25):
        device_was = device[0]
        device[0] = max(device[0], clock[0]) + 0.02
        if due:
            device[0], later = device_was, device[0]  # the line waits for the steps before this one
            shown += 2 * 8 / window.line(metrics)["time/images_per_s"]
            device[0] = later
            clock[0] += 0.005  # writing it
        window.add(1, jnp.zeros(()))
        due = step % 2 == 0
        if step % 8 == 5:
            with window.paused():
                clock[0] += 1.0  # an evaluation
    shown += 2 * 8 / window.line(metrics)["time/images_per_s"]
    assert shown == pytest.approx(clock[0] - 100.0 - 3.0, rel=1e-6)
    assert shown == pytest.approx(24 * 0.02, rel=0.05)


def test_a_line_fetches_a_dozen_numbers_whatever_the_interval(tmp_path, monkeypatch):
    """Counted over whole runs of 24 steps, which differ in their log lines alone."""
    fetched, real = [], jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: (fetched.append(len(jax.tree.leaves(tree))), real(tree))[1])

    def arrays(log_every):
        fetched.clear()
        rest = {"steps": 24, "eval_every": 24, "checkpoint_every": 24, "test": "never"}
        model, data = ModelConfig(Small, conv="xla"), DataConfig("digits", batch_size=16)
        train(Config(model=model, data=data, train=TrainConfig(log_every=log_every, **rest)), tmp_path / str(log_every))
        return sum(fetched)

    every, few, one = arrays(1), arrays(12), arrays(24)
    a_line = few - one
    assert 6 <= a_line <= 16
    assert every - one == 23 * a_line
