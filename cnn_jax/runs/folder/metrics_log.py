"""The metrics of a run as they are written: a line in `metrics.jsonl` and an event for TensorBoard."""

import contextlib
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from cnn_jax.runs.folder.charts import Charts
from cnn_jax.runs.folder.events import EventWriter, cut_events, is_summary, read_records
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.metrics_file import (
    COPY,
    FILE_NAME,
    RunError,
    crc32,
    read_history,
    read_metrics,
    read_test_line,
)
from cnn_jax.runs.folder.noted import saved_steps


class MetricsLog:
    """Both files of a run folder; neither is touched before there is something to change.

    Args:
      text: Markdown that the event file begins with.
    """

    def __init__(self, directory: Path, text: str | None = None) -> None:
        self._directory, self._path, self._text = directory, directory / FILE_NAME, text
        self._charts = Charts(directory)
        self._file: IO[str] | None = None
        self._events: EventWriter | None = None
        self.lines = (0, 0)
        """How many there are, and their CRC-32."""

    def begin(self) -> None:
        """Begins a run that has no checkpoint; what one wrote that was killed before its first is dropped.

        Raises:
          RunError: when something says that there was a checkpoint.
        """
        damaged = self._directory / "damaged"
        records, broken = read_records(self._directory)
        saved, shown = saved_steps(records), any(is_summary(r) for r in records)
        lines = read_metrics(self._directory, COPY)
        why = None
        if damaged.is_dir() and any(damaged.iterdir()):
            why = f"{damaged} holds checkpoints that were found damaged"
        elif saved:
            why = f"checkpoints/{saved[-1]} was saved, and is gone"
        elif lines and (broken or not records):
            why = f"{self._path} goes up to step {lines[-1]['step']}, and the event file beside it is gone or damaged"
        if why:
            raise RunError(
                f"`{self._directory}` was trained, but there is no checkpoint to continue from: {why}. Nothing was "
                "changed. Put back a checkpoint, or remove the folder or give another --workdir to begin anew."
            )
        if lines:
            ended = f"was ended at step {lines[-1]['step']}, before its first checkpoint"
            warnings.warn(f"`{self._directory}` {ended}: it begins anew.", stacklevel=2)
            self._path.unlink()
        if lines or shown:
            cut_events(self._directory, 0)
            self._charts.rewrite()

    def resume(self, step: int, last: int, saved: tuple[int, int] | None) -> dict[str, Any] | None:
        """Brings both files back to a step, that of the checkpoint restored, and says which of them was damaged.

        Args:
          last: the step at which the run is finished.
          saved: what the checkpoint says of `lines`.

        Returns:
          The values of the test line, where the run has one.

        Raises:
          RunError: when the lines of the run are lost.
        """
        history = read_history(self._directory, step, last, saved)
        for sentence in history.said:
            warnings.warn(sentence, stacklevel=2)
        text = "".join(f"{line}\n" for line in history.lines)
        if not self._path.exists() or self._path.read_bytes() != text.encode():
            write_atomically(self._path, text)
        cut_events(self._directory, history.events_size)
        self.lines = len(history.lines), crc32(history.lines)
        missing = history.lines[history.events_lines :]
        for line in missing:
            self._open()[1].write_line(line)
        if step < last:
            self.note_saved(step)
        if self._events is not None:
            self._events.flush()
        test = read_test_line(self._directory)
        if test is None or missing:  # a finished run is left as it is
            self._charts.rewrite()
        return test

    def write(self, step: int, split: str, values: Mapping[str, Any]) -> None:
        """Appends one line; NaN goes there as null.

        Raises:
          RunError: when the file cannot be written, or is no longer there.
        """
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
        line = json.dumps({"step": step, "split": split, **finite})
        try:
            file, events = self._open()
            if not os.path.samestat(self._path.stat(), os.fstat(file.fileno())):
                raise OSError("another file has taken its place, so another process may write here")
            file.write(line + "\n")
            file.flush()
            event = events.write_line(line)
            events.flush()
            self._charts.write(event, line)
        except OSError as error:
            raise RunError(f"`{self._path}` cannot be written at step {step}: {error.strerror or error}.") from error
        self.lines = self.lines[0] + 1, crc32([line], self.lines[1])

    def note_saved(self, step: int) -> None:
        """Notes in the event file that a checkpoint is on disk."""
        events = self._open()[1]
        events.write_saved(step)
        events.flush()

    def _open(self) -> tuple[IO[str], EventWriter]:
        if self._file is None or self._events is None:
            # The head of the event file is on disk before the first line: lines without it mean that it was lost.
            self._events = EventWriter(self._directory, self._text)
            self._events.flush()
            self._file = self._path.open("a")
        return self._file, self._events

    def close(self) -> None:
        """Closes both files; every line was flushed, and what a full disk refused then was said then."""
        for file in (self._file, self._events, self._charts):
            if file is not None:
                with contextlib.suppress(OSError):
                    file.close()
