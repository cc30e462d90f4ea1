"""The time between two log lines, and what a line says."""

import contextlib
import time
from collections import deque
from collections.abc import Iterator

import jax
from jaxtyping import Array

from cnn_jax.training.metrics import TrainMetrics

# Calls that may be under way at once: enough to hide the host, few enough to bound the memory of waiting batches.
CALLS_AHEAD = 2


class LogWindow:
    """Counts the steps since the last log line and their time, without waiting for the device.

    The clock is read only where the device is known to have done the steps counted.
    """

    def __init__(self, batch_size: int) -> None:
        """Starts the clock; `batch_size` is for the images a second."""
        self._under_way: deque[Array] = deque(maxlen=CALLS_AHEAD + 1)
        self._batch_size = batch_size
        self._steps, self._seconds, self._waited, self._since = 0, 0.0, 0.0, time.perf_counter()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts the time in which the loop waits for its next batch."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def add(self, steps: int, made: Array) -> None:
        """Counts the steps of a call, which gave the array `made`; waits for the call `CALLS_AHEAD` before it."""
        self._under_way.append(made)
        self._steps += steps
        if len(self._under_way) > CALLS_AHEAD:
            jax.block_until_ready(self._under_way[0])

    def line(self, metrics: TrainMetrics) -> dict[str, float]:
        """The means in the metrics of the steps counted; from here on the next line's are.

        Besides, `time/images_per_s`, and `time/waiting_for_data`: the part of the time in which there was no batch.
        """
        metrics = jax.device_get(metrics)
        now = time.perf_counter()  # the last step is done, and nothing else: here the next line's time begins
        seconds = self._seconds + now - self._since
        values = {k: float(v) for k, v in metrics.compute().items()}
        values["time/images_per_s"] = self._steps * self._batch_size / seconds
        values["time/waiting_for_data"] = self._waited / seconds
        self._steps, self._seconds, self._waited, self._since = 0, 0.0, 0.0, now
        return values

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stops the clock for what is not training, from the end of the steps under way."""
        jax.block_until_ready(list(self._under_way))
        self._seconds += time.perf_counter() - self._since
        try:
            yield
        finally:  # who leaves a run within the pause has a line written afterwards
            self._since = time.perf_counter()
