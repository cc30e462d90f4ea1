"""Training metrics between two log lines."""

import contextlib
import functools
import time
from collections.abc import Iterator

import jax

from cnn_jax.training.metrics import TrainMetrics

# Steps that may be under way at once: enough to hide the host, few enough to bound the memory of waiting batches.
STEPS_AHEAD = 2


class MetricWindow:
    """Collects each step's metrics without waiting for the device, and gives their means.

    The sums are merged in the order of the steps, so a window that was saved half-way and continued has the same bits
    as one that was not.  The clock is read only where the device is known to have done the steps counted.
    """

    def __init__(self, saved: TrainMetrics, batch_size: int) -> None:
        """Continues from what `merged` gave, and starts the clock; `batch_size` is for the images a second."""
        self._merged = saved
        self._pending: list[TrainMetrics] = []
        self._batch_size = batch_size
        self._steps, self._seconds, self._waited, self._since = 0, 0.0, 0.0, time.perf_counter()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time in which the loop waits for its next batch."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def add(self, metrics: TrainMetrics) -> None:
        """Takes one step's metrics; waits for the step `STEPS_AHEAD` before it."""
        self._pending.append(metrics)
        self._steps += 1
        if len(self._pending) > STEPS_AHEAD:
            jax.block_until_ready(self._pending[-1 - STEPS_AHEAD])

    def merged(self) -> TrainMetrics:
        """All metrics since the last `means`, merged, as NumPy arrays."""
        # An empty start is left out: LastValue divides by its count when it merges.
        parts = [self._merged] * bool(self._merged.loss.count) + jax.device_get(self._pending)
        self._pending = []
        if parts:
            self._merged = functools.reduce(lambda a, b: a.merge(b), parts)
        return self._merged

    def means(self) -> dict[str, float]:
        """The means since the last call, and starts anew.

        Besides, `time/images_per_s`, and `time/waiting_for_data`: the part of the time in which there was no batch.
        """
        merged = self.merged()
        now = time.perf_counter()  # the last step is done, and nothing else: here the next line's time begins
        seconds = self._seconds + now - self._since
        values = {k: float(v) for k, v in merged.compute().items()}
        values["time/images_per_s"] = self._steps * self._batch_size / seconds
        values["time/waiting_for_data"] = self._waited / seconds
        self._merged = jax.tree.map(lambda x: x * 0, merged)
        self._steps, self._seconds, self._waited, self._since = 0, 0.0, 0.0, now
        return values

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock for what is not training, from the end of the steps under way."""
        jax.block_until_ready(self._pending)
        self._seconds += time.perf_counter() - self._since
        yield
        self._since = time.perf_counter()
