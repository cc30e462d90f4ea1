"""Scalars for TensorBoard, without TensorFlow.

TensorBoard's own EventFileWriter and `clu.metric_writers` import TensorFlow wherever it is installed; the record
format and the event proto do not need it.  The methods carry the names of clu's MetricWriter.
"""

import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

_LENGTH, _CHECKSUM = 8, 4  # bytes; a record is length, checksum, data, checksum


class EventWriter:
    """Appends to one event file; TensorBoard finds it by its name."""

    FILE_NAME = "events.out.tfevents.0.cnn_jax"

    def __init__(self, directory: Path) -> None:
        path = directory / self.FILE_NAME
        new = not path.exists() or path.stat().st_size == 0
        self._file = path.open("ab")
        self._records = RecordWriter(self._file)
        if new:
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """One event that holds all the scalars of a step."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def flush(self) -> None:
        """Makes what was written visible to readers."""
        self._file.flush()

    def close(self) -> None:
        """Flushes, and releases the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


def read_events(path: Path) -> Iterator[Event]:
    """The events of a file, in order; a last record cut short by a kill is left out."""
    for event, _ in _records(path.read_bytes()):
        yield event


def truncate_events(directory: Path, last_step: int) -> None:
    """Cuts an event file off before its first event later than `last_step`, and before a record cut short by a kill."""
    path = directory / EventWriter.FILE_NAME
    if not path.exists():
        return
    keep = 0
    for event, end in _records(path.read_bytes()):
        if event.step > last_step:
            break
        keep = end
    with path.open("r+b") as file:
        file.truncate(keep)


def _records(data: bytes) -> Iterator[tuple[Event, int]]:
    """Each complete record as an event, with the offset at which it ends."""
    start = 0
    while start + _LENGTH + _CHECKSUM <= len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        content = start + _LENGTH + _CHECKSUM
        end = content + length + _CHECKSUM
        if end > len(data):
            return
        yield Event.FromString(data[content : content + length]), end
        start = end
