"""The calls in which a run makes its steps: a step each, or many in one loop on the device, where its images lie too.

Between two calls the host launches a program and a batch is copied, which takes as long as a small network's step on a
GPU. A step within the loop rounds otherwise than one outside of it, and so platform and configuration decide which it
is, never a clock; how many steps a call makes changes nothing.
"""

import contextlib
import itertools
import math
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_jax import ops
from cnn_jax.config import TrainConfig
from cnn_jax.data import DatasetInfo, prefetch, train_rows
from cnn_jax.training.carry import CarryStep

if TYPE_CHECKING:
    from cnn_jax.runs.session import Session

# Steps in a call where nothing else is asked for: the host then acts once where it acted fifty times. Untuned.
STEPS_PER_CALL = 50
# Batches of small images, and their bytes, that the background hands over at once.  Untuned.
MOST_TOGETHER, BYTES_TOGETHER = 8, 2**21
# Bytes of images that lie on each device: an eighth of a small GPU's memory, seven times CIFAR-10.
MOST_RESIDENT = 2**30


def fits(info: DatasetInfo) -> bool:
    """Whether a training split can lie on a device: images of one size, in few enough bytes."""
    return not info.are_files and info.num_examples * math.prod(info.image_shape) <= MOST_RESIDENT


def loops(info: DatasetInfo) -> bool:
    """Whether steps are made in a loop on the device: on none but a CPU, where XLA runs a loop's body far slower."""
    return fits(info) and not ops.current().on_cpu


def steps_per_call(train: TrainConfig) -> int:
    """The most steps that a call makes where they are made in a loop."""
    return train.steps_per_call or STEPS_PER_CALL


def columns(train: TrainConfig) -> int:
    """For how many steps a call has room: the same for all up to `STEPS_PER_CALL`, and so the same program."""
    return max(steps_per_call(train), STEPS_PER_CALL)


class Calls:
    """The calls of a run up to a step: what they are given, and what makes them."""

    def __init__(self, session: "Session", last: int, *, every: Collection[int] = (), at: Collection[int] = ()) -> None:
        """Places the images on the devices, where steps are made in a loop.

        Args:
          last: the step after which there are none.
          every: a call ends after each multiple of these steps; where what is frozen changes, it ends anyway.
          at: and after these.
        """
        self._session, self._last, self._every = session, last, every
        self._ends = {*at, *(phase.first_step for phase in session.phases)}
        self._data = session.training_data() if loops(session.info) else None
        self._resident: tuple[Any, ...] = ()
        if self._data is not None:
            arrays = self._data.images(np.arange(len(self._data))), self._data.labels
            self._resident = session.layout.put_whole(arrays)

    def compile(self, step: int) -> CarryStep:
        """What makes the calls from a step on, until what is frozen changes."""
        return self._session.compile_train_step(step, *self._resident)

    def given(self, start: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """How many steps each call makes, from a step on, and what it is given of this process's rows."""
        if self._data is None:
            for _, batch in zip(range(start, self._last), self._session.training_batches(start), strict=False):
                yield 1, batch
            return
        config, rows = self._session.config, self._session.layout.rows(self._session.config.data.batch_size)
        num_examples, batch_size, room = len(self._data), config.data.batch_size, columns(config.train)
        while start < self._last:
            count = self._end(start) - start
            seed = config.seed_of("order")
            yield count, train_rows(num_examples, batch_size, count, room, seed=seed, start=start, rows=rows)
            start += count

    def _end(self, step: int) -> int:
        ends = [step + steps_per_call(self._session.config.train), self._last]
        ends += [step + every - step % every for every in self._every] + [end for end in self._ends if end > step]
        return min(ends)

    def ready(self, start: int) -> Generator[tuple[int, Any]]:
        """The same on the devices, made ready in the background."""

        def put(calls: Iterable[tuple[int, dict[str, np.ndarray]]]) -> list[tuple[int, Any]]:
            return [(count, self._session.layout.put(given)) for count, given in calls]

        with contextlib.closing(prefetch(itertools.batched(self.given(start), self._together()), put)) as ready:
            for calls in ready:
                yield from calls

    def _together(self) -> int:
        """How many batches the background hands over at once: each time takes as long as some small batches do."""
        session = self._session
        if self._data is not None or session.info.are_files:
            return 1
        batch_bytes = session.config.data.batch_size * math.prod(session.info.image_shape)
        return max(1, min(MOST_TOGETHER, BYTES_TOGETHER // batch_bytes))
