"""A window of metrics gives the means since the last line, and the same bits whether or not it was saved in between."""

import time

import jax
import jax.numpy as jnp
import pytest

from cnn_jax.training.metrics import TrainMetrics
from cnn_jax.training.window import MetricWindow


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
    values = window.take()
    assert values["loss"] == pytest.approx(float(jnp.sin(jnp.arange(5)[:, None] + jnp.arange(8.0)).mean()), rel=1e-5)
    assert values["grad_norm"] == pytest.approx(2.0)
    assert values["learning_rate"] == pytest.approx(0.4)


def test_window_counts_the_time_without_a_batch():
    window = MetricWindow(EMPTY, batch_size=8)
    window.add(step_metrics(0))
    window.take()
    window.add(step_metrics(1))
    with window.waiting():
        time.sleep(0.2)
    time.sleep(0.1)
    assert 0.2 < window.take()["time/waiting_for_data"] < 0.9
    window.add(step_metrics(2))
    assert window.take()["time/waiting_for_data"] == 0


def test_window_starts_anew_after_a_line():
    window = MetricWindow(EMPTY, batch_size=8)
    window.add(step_metrics(1))
    window.take()
    window.add(step_metrics(3))
    assert window.take()["grad_norm"] == pytest.approx(3.0)


@pytest.mark.parametrize("cut", range(6))
def test_a_window_saved_half_way_has_the_same_bits(cut):
    whole, first = (MetricWindow(EMPTY, batch_size=8) for _ in range(2))
    for k in range(6):
        whole.add(step_metrics(k))
    for k in range(cut):
        first.add(step_metrics(k))
    second = MetricWindow(first.fold(), batch_size=8)
    for k in range(cut, 6):
        second.add(step_metrics(k))
    expected, found = whole.take(), second.take()
    assert {k: v for k, v in found.items() if not k.startswith("time/")} == {
        k: v for k, v in expected.items() if not k.startswith("time/")
    }
