"""The record of a run: an entry in `config.json` for every start that computed a step."""

import contextlib
import dataclasses
import datetime
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Literal, Self, get_args

from cnn_jax.parallel import is_writer
from cnn_jax.runs.folder.run import RunError, RunWriter
from cnn_jax.runs.machine.environment import environment_changes

Kind = Literal["compile", "evaluation", "saving", "waiting", "drawing"]


class Record:
    """The newest entry of `record` in `config.json`: when, by which command, where, how far, how long, how it ended.

    A context manager around the steps: it adds the entry and puts this start's environment into `config.json`, warns
    where the last start had another one, and notes at the end how it went: "finished", "stopped" or "diverged". An
    entry whose `ended` is None is of a start that runs, was killed, or failed.

    An exception says how it ends a run by an attribute `ended`; Ctrl-C stops it, and so does who watches no longer.
    """

    def __init__(self, writer: RunWriter, step: int) -> None:
        """Notes nothing yet; the run goes on from `step`."""
        run, here = writer.run, writer.here
        self._changes = environment_changes(run.environment, here)
        self._entry: dict[str, Any] = {
            "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": shlex.join(sys.argv),
            "host": platform.node() or None,
            "first_step": step,
            "last_step": step,
            "seconds": {},
            "ended": None,
        }
        if self._changes:
            self._entry["environment_changes"] = self._changes
        self._seconds: dict[str, float] = dict.fromkeys(get_args(Kind), 0.0)
        self._writer = writer
        writer.run = dataclasses.replace(run, record=[*run.record, self._entry], environment=here)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        if self._changes and is_writer():
            rows = ", ".join(f"{name} {a} → {b}" for name, (a, b) in self._changes.items())
            warnings.warn(f"continuing in another environment, so bits may differ from here on: {rows}", stacklevel=3)
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = "stopped" if isinstance(error, (KeyboardInterrupt, GeneratorExit)) else None
        self._entry["ended"] = "finished" if error is None else getattr(error, "ended", stopped)
        with contextlib.suppress(OSError, RunError):  # what ended the run matters more
            self._write()

    @contextlib.contextmanager
    def spend(self, kind: Kind) -> Iterator[None]:
        """Counts the time within as another than training; not to be nested."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[kind] += time.perf_counter() - began

    def saved(self, step: int) -> None:
        """Notes how far the run is, and the time so far."""
        self._entry["last_step"] = step
        self._write()

    def _write(self) -> None:
        total = time.perf_counter() - self._began
        spent = {"training": total - sum(self._seconds.values())} | self._seconds
        self._entry["seconds"] = {kind: round(seconds, 3) for kind, seconds in spent.items()}
        self._writer.write_config()
