"""Event files, TensorBoard's, without TensorFlow.

TensorBoard's own EventFileWriter and `clu.metric_writers` import TensorFlow wherever it is installed; the record
format and the event proto do not need it.

A run's own event file is its journal: the configuration, every line of `metrics.jsonl`, so that either file can be
repaired from the other (a record has a checksum, which a line has not), and every checkpoint. What the lines hold is
drawn from the files that `charts.py` writes.
"""

import dataclasses
import json
import struct
import time
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event, LogMessage, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter, masked_crc32c

_LENGTH, _CHECKSUM = 8, 4  # bytes; a record is length, checksum, data, checksum


class EventWriter:
    """Appends to one event file; TensorBoard finds it by its name.

    Args:
      directory: where it lies.
      text: Markdown that a new file begins with, for TensorBoard to show.
      began: when a new file began, in seconds since 1970; None is now.
    """

    FILE_NAME = "events.out.tfevents.0.cnn_jax"

    def __init__(self, directory: Path, text: str | None = None, *, began: float | None = None) -> None:
        path = directory / self.FILE_NAME
        new = not path.exists() or path.stat().st_size == 0
        self._file = path.open("ab")
        self._records = RecordWriter(self._file)
        if new:
            self.write(Event(wall_time=began or time.time(), file_version="brain.Event:2"))
            if text is not None:
                self.write(Event(wall_time=time.time(), summary=_text(text)))

    def write_line(self, line: str) -> Event:
        """Appends a line of `metrics.jsonl`."""
        event = Event(wall_time=time.time(), step=json.loads(line)["step"], log_message=LogMessage(message=line))
        self.write(event)
        return event

    def write_saved(self, step: int) -> None:
        """Notes that the checkpoint of a step is on disk."""
        log = SessionLog(status=SessionLog.CHECKPOINT, checkpoint_path=f"checkpoints/{step}")
        self.write(Event(wall_time=time.time(), step=step, session_log=log))

    def flush(self) -> None:
        """Makes what was written visible to readers."""
        self._file.flush()

    def close(self) -> None:
        """Flushes, and releases the file."""
        self._file.close()

    def write(self, event: Event) -> None:
        """Appends an event."""
        self._records.write(event.SerializeToString())


def line_of(event: Event) -> str | None:
    """The line of `metrics.jsonl` that an event holds; folders begun before 0.2 name it as the event's writer."""
    return event.log_message.message or event.source_metadata.writer or None


def _text(markdown: str) -> Summary:
    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
    return Summary(value=[Summary.Value(tag="configuration", metadata=plugin, tensor=tensor)])


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
        """The line of `metrics.jsonl` that it holds; None for what cnn_jax 0.1 wrote."""
        return line_of(self.event) if self.event else None


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
    """Whether a record tells of metrics; a damaged one may."""
    event = record.event
    return event is None or bool(record.line) or any(v.HasField("simple_value") for v in event.summary.value)


def cut_events(directory: Path, size: int) -> None:
    """Cuts an event file to a size in bytes, where it has another."""
    path = directory / EventWriter.FILE_NAME
    if path.exists() and path.stat().st_size != size:
        with path.open("r+b") as file:
            file.truncate(size)
