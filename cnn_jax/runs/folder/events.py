"""Scalars for TensorBoard, without TensorFlow.

TensorBoard's own EventFileWriter and `clu.metric_writers` import TensorFlow wherever it is installed; the record
format and the event proto do not need it.  The methods carry the names of clu's MetricWriter.

Each event also carries the line of `metrics.jsonl` that it shows, where the proto names its writer, so that either file
can be repaired from the other; a record has a checksum, which a line has not.
"""

import dataclasses
import json
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter, masked_crc32c

_LENGTH, _CHECKSUM = 8, 4  # bytes; a record is length, checksum, data, checksum


class EventWriter:
    """Appends to one event file; TensorBoard finds it by its name."""

    FILE_NAME = "events.out.tfevents.0.cnn_jax"

    def __init__(self, directory: Path) -> None:
        path = directory / self.FILE_NAME
        new = not path.exists() or path.stat().st_size == 0
        self._file = path.open("ab")
        self._records = RecordWriter(self._file)
        self._line: str | None = None
        if new:
            self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def write_line(self, line: str) -> None:
        """One event for a line of `metrics.jsonl`: its numbers as scalars, null as NaN, and the line itself."""
        values = json.loads(line)
        step, split = values.pop("step"), values.pop("split")
        numbers = {k: float("nan") if v is None else v for k, v in values.items() if not isinstance(v, (dict, str))}
        self._line = line
        self.write_scalars(step, {f"{split}/{k}": v for k, v in numbers.items()})
        self._line = None

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """One event that holds all the scalars of a step."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        source = None if self._line is None else SourceMetadata(writer=self._line)
        self._write(Event(wall_time=time.time(), step=step, summary=Summary(value=values), source_metadata=source))

    def write_saved(self, step: int) -> None:
        """Notes that the checkpoint of a step is on disk."""
        log = SessionLog(status=SessionLog.CHECKPOINT, checkpoint_path=f"checkpoints/{step}")
        self._write(Event(wall_time=time.time(), step=step, session_log=log))

    def flush(self) -> None:
        """Makes what was written visible to readers."""
        self._file.flush()

    def close(self) -> None:
        """Flushes, and releases the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


@dataclasses.dataclass(frozen=True)
class Record:
    """One event as it stands in the file."""

    event: Event | None
    """None where its checksum says that it is damaged."""
    start: int
    end: int
    """Where it stands, in bytes."""

    @property
    def line(self) -> str | None:
        """The line of `metrics.jsonl` that it shows; None where cnn_jax 0.1 wrote it."""
        return (self.event and self.event.source_metadata.writer) or None


def read_records(directory: Path) -> tuple[list[Record], bool]:
    """Every record of a folder's event file, and whether the file is damaged: a last one cut short by a kill is not.

    What follows a damaged length cannot be told apart, and is left out.
    """
    path, start = directory / EventWriter.FILE_NAME, 0
    data = path.read_bytes() if path.exists() else b""
    found: list[Record] = []
    while start + _LENGTH + _CHECKSUM <= len(data):
        header = data[start : start + _LENGTH]
        content = start + _LENGTH + _CHECKSUM
        if struct.unpack_from("<I", data, start + _LENGTH)[0] != masked_crc32c(header):
            return found, True
        end = content + struct.unpack("<Q", header)[0] + _CHECKSUM
        if end > len(data):
            break
        found.append(Record(_event(data[content : end - _CHECKSUM], data[end - _CHECKSUM : end]), start, end))
        start = end
    return found, any(record.event is None for record in found)


def _event(content: bytes, checksum: bytes) -> Event | None:
    try:
        return Event.FromString(content) if struct.unpack("<I", checksum)[0] == masked_crc32c(content) else None
    except DecodeError:
        return None


def is_summary(record: Record) -> bool:
    """Whether a record shows metrics; a damaged one may."""
    return record.event is None or bool(record.event.summary.value)


def cut_events(directory: Path, size: int) -> None:
    """Cuts an event file to a size in bytes, where it has another."""
    path = directory / EventWriter.FILE_NAME
    if path.exists() and path.stat().st_size != size:
        with path.open("r+b") as file:
            file.truncate(size)
