"""A polite end: SIGTERM (a scheduler's) and SIGINT (Ctrl-C) save a checkpoint first."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stopped(Exception):
    """Training was stopped by a signal after saving; running it again continues."""

    ended = "stopped"  # in the run's record

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; saved at step {step}. The same command continues.")
        self.exit_status = 128 + number  # the shell's convention


class StopSignals:
    """A context in which SIGTERM and SIGINT set `requested` instead of ending the process.

    A second Ctrl-C interrupts at once.  Outside the main thread Python delivers no signals, and nothing is changed.
    """

    requested: int | None = None
    """The number of the signal that came, or None."""

    def __enter__(self) -> "StopSignals":
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = number
