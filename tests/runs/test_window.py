"""A window of metrics gives the means since the last line, and the same bits whether or not it was saved in between."""

import time

import jax
import jax.numpy as jnp
import pytest

from cnn_jax.runs.log_window import MetricWindow
from cnn_jax.training.metrics import TrainMetrics


def step_metrics(k):
    values = jnp.sin(jnp.arange(8.0) + k)
    return TrainMetrics.single_from_model_output(
        loss=values, top1=values > 0, top5=values > -0.5, grad_norm=jnp.float32(k), learning_rate=jnp.float32(k / 10)
    )


EMPTY = jax.tree.map(lambda x: x * 0, jax.device_get(step_metrics(0)))


def test_window_gives_means_and_the_last_rate():
    window = MetricWindow(EMPTY, batch_size=8)
    for k in range(5):
        window.add(step_metrics(k))
    values = window.means()
    assert values["loss"] == pytest.approx(float(jnp.sin(jnp.arange(5)[:, None] + jnp.arange(8.0)).mean()), rel=1e-5)
    assert values["grad_norm"] == pytest.approx(2.0)
    assert values["learning_rate"] == pytest.approx(0.4)


def test_window_counts_the_time_without_a_batch():
    window = MetricWindow(EMPTY, batch_size=8)
    window.add(step_metrics(0))
    window.means()
    window.add(step_metrics(1))
    with window.waiting():
        time.sleep(0.2)
    time.sleep(0.1)
    assert 0.2 < window.means()["time/waiting_for_data"] < 0.9
    window.add(step_metrics(2))
    assert window.means()["time/waiting_for_data"] == 0


def test_window_starts_anew_after_a_line():
    window = MetricWindow(EMPTY, batch_size=8)
    window.add(step_metrics(1))
    window.means()
    window.add(step_metrics(3))
    assert window.means()["grad_norm"] == pytest.approx(3.0)


@pytest.mark.parametrize("cut", range(6))
def test_a_window_saved_half_way_has_the_same_bits(cut):
    whole, first = (MetricWindow(EMPTY, batch_size=8) for _ in range(2))
    for k in range(6):
        whole.add(step_metrics(k))
    for k in range(cut):
        first.add(step_metrics(k))
    second = MetricWindow(first.merged(), batch_size=8)
    for k in range(cut, 6):
        second.add(step_metrics(k))
    expected, found = whole.means(), second.means()
    assert {k: v for k, v in found.items() if not k.startswith("time/")} == {
        k: v for k, v in expected.items() if not k.startswith("time/")
    }


def test_the_times_of_all_lines_add_up_to_the_time_that_passed(monkeypatch):
    """A device that takes 20 ms a step, and a host that is late with each line and does other things in between."""
    clock, device = [100.0], [100.0]
    monkeypatch.setattr("cnn_jax.runs.log_window.time.perf_counter", lambda: clock[0])

    def wait(what):
        clock[0] = max(clock[0], device[0])
        return what

    monkeypatch.setattr("cnn_jax.runs.log_window.jax.block_until_ready", wait)
    monkeypatch.setattr("cnn_jax.runs.log_window.jax.device_get", wait)
    window, shown, due = MetricWindow(EMPTY, batch_size=8), 0.0, False
    metrics = step_metrics(0)
    for step in range(1, 25):
        device_was = device[0]
        device[0] = max(device[0], clock[0]) + 0.02
        if due:
            device[0], after = device_was, device[0]  # the line waits for the steps before this one
            shown += 2 * 8 / window.means()["time/images_per_s"]
            device[0] = after
            clock[0] += 0.005  # writing it
        window.add(metrics)
        due = step % 2 == 0
        if step % 8 == 5:
            with window.paused():
                clock[0] += 1.0  # an evaluation
    shown += 2 * 8 / window.means()["time/images_per_s"]
    assert shown == pytest.approx(clock[0] - 100.0 - 3.0, rel=1e-6)
    assert shown == pytest.approx(24 * 0.02, rel=0.05)
