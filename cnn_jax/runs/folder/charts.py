"""What TensorBoard draws: a folder for each split, since it puts the curves of all folders into one chart, by tag."""

import contextlib
import io
import json
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from cnn_jax.runs.folder.events import EventWriter, line_of, read_records
from cnn_jax.runs.folder.files import write_atomically

_SPLITS = ("train", "validation", "test")


class Charts:
    """The event files in a run folder's `train/`, `validation/` and `test/`, which show the lines of the run's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writers: dict[str, EventWriter] = {}

    def write(self, event: Event) -> None:
        """Appends the numbers of an event of the run's own file, which holds a line."""
        split = _split(event)
        assert split is not None
        if split not in self._writers:
            (self._directory / split).mkdir(exist_ok=True)
            self._writers[split] = EventWriter(self._directory / split, began=event.wall_time)
        self._writers[split].write(_shown(event))
        self._writers[split].flush()

    def rewrite(self) -> None:
        """Makes them what follows from the run's own file; those that are so already are left alone."""
        events = [record.event for record in read_records(self._directory)[0] if record.event]
        for split in _SPLITS:
            path = self._directory / split / EventWriter.FILE_NAME
            shown = [_shown(event) for event in events if _split(event) == split]
            if not shown:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # none there, or one that holds what is not ours
                    path.parent.rmdir()
                continue
            file = io.BytesIO()
            records = RecordWriter(file)
            for event in (Event(wall_time=shown[0].wall_time, file_version="brain.Event:2"), *shown):
                records.write(event.SerializeToString())
            if not path.exists() or path.read_bytes() != file.getvalue():
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, file.getvalue())

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()


def _split(event: Event) -> str | None:
    line = line_of(event)
    return json.loads(line)["split"] if line else None


def _shown(event: Event) -> Event:
    """The numbers of a line as scalars, null as NaN."""
    values = {k: v for k, v in json.loads(line_of(event) or "{}").items() if k not in ("step", "split")}
    numbers = {k: float("nan") if v is None else v for k, v in values.items() if not isinstance(v, dict)}
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()])
    return Event(wall_time=event.wall_time, step=event.step, summary=summary)
