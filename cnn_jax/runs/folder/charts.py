"""What TensorBoard draws: a folder for each split, since it puts the curves of all folders into one chart, by tag."""

import contextlib
import io
import json
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from cnn_jax.runs.folder.events import EventWriter, read_records
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.metrics_file import SPLITS


class Charts:
    """The event files in a run folder's `train/`, `validation/` and `test/`, which show the lines of the run's own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writers: dict[str, EventWriter] = {}

    def write(self, event: Event, line: str) -> None:
        """Appends the numbers of a line, as the event of the run's own file that holds it tells."""
        split, shown = _shown(event, line)
        if split not in self._writers:
            (self._directory / split).mkdir(exist_ok=True)
            self._writers[split] = EventWriter(self._directory / split, began=event.wall_time)
        self._writers[split].write(shown)
        self._writers[split].flush()

    def rewrite(self) -> None:
        """Makes them what follows from the run's own file; those that are so already are left alone."""
        events: dict[str, list[Event]] = {split: [] for split in SPLITS}
        for record in read_records(self._directory)[0]:
            if record.event and record.line:
                split, shown = _shown(record.event, record.line)
                events[split].append(shown)
        for split, found in events.items():
            path = self._directory / split / EventWriter.FILE_NAME
            if not found:
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # none there, or one that holds what is not ours
                    path.parent.rmdir()
                continue
            file = io.BytesIO()
            records = RecordWriter(file)
            for event in (Event(wall_time=found[0].wall_time, file_version="brain.Event:2"), *found):
                records.write(event.SerializeToString())
            if not path.exists() or path.read_bytes() != file.getvalue():
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, file.getvalue())

    def close(self) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()


def _shown(event: Event, line: str) -> tuple[str, Event]:
    """The split of a line, and its numbers as scalars, null as NaN."""
    values = json.loads(line)
    step, split = values.pop("step"), values.pop("split")
    numbers = {k: float("nan") if v is None else v for k, v in values.items() if not isinstance(v, dict)}
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()])
    return split, Event(wall_time=event.wall_time, step=step, summary=summary)
