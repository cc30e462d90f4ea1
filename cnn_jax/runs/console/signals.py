"""A polite end: the signals of schedulers, terminals and users save a checkpoint first."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cnn_jax.parallel import STOPPING, largest_of_all


class Stopped(Exception):
    """Training was stopped by a signal after saving; running it again continues."""

    ended = "stopped"  # in the run's record

    def __init__(self, number: int, step: int | None) -> None:
        saved = f"saved at step {step}" if step else "nothing was lost"
        super().__init__(f"stopped by {signal.Signals(number).name}; {saved}. The same command continues.")
        self.exit_status = 128 + number  # the shell's convention


class _AtOnce(KeyboardInterrupt):
    """What a signal raises where nothing is lost by it: a kind that nobody takes for a fault of what it ends."""


class StopSignals:
    """A context in which the signals that stop a run set `requested` instead of ending the process.

    SIGTERM (a scheduler's), SIGINT (Ctrl-C), SIGHUP (a closed terminal) and SIGUSR1 (Slurm's warning before a time
    limit) all save and stop.  A second Ctrl-C waits for the save like the first, for it is often pressed by impatience;
    a third interrupts at once, without a checkpoint.  A SIGHUP that the process was started to ignore (`nohup`) stays
    ignored.  Outside the main thread Python delivers no signals, and nothing is changed.

    Within another such context, a signal that came too late to stop what was done here is left to that one, and one
    that had come to that one is taken over.
    """

    requested: int | None = None
    """The number of the signal that came, or None."""
    at_once: bool = False
    """Whether a signal ends what is done within at once, by Stopped, because no step is made yet."""

    def __enter__(self) -> "StopSignals":
        self._before: dict[int, Any] = {}
        self._interrupts = 0
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                # Under nohup a closed terminal's is ignored, and stays so. (A shell's `&` ignores that of Ctrl-C.)
                if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
            outer = next((o for number in STOPPING if (o := self._outer(number))), None)
            self.requested = outer.requested if outer else None
        return self

    def _outer(self, number: int) -> "StopSignals | None":
        outer = getattr(self._before.get(number), "__self__", None)
        return outer if isinstance(outer, StopSignals) else None

    def end_if_asked(self, step: int | None = None) -> None:
        """Raises Stopped, in all processes of the run, where a signal came to one of them and all is saved.

        Args:
          step: the newest that is saved, or None where none was made.
        """
        if number := largest_of_all(self.requested or 0):
            raise Stopped(number, step)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is _AtOnce and self.requested:
            raise Stopped(self.requested, None) from None
        if error is None and self.requested and (outer := self._outer(self.requested)):
            outer.requested = outer.requested or self.requested

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts > 2:
            raise KeyboardInterrupt
        self.requested = self.requested or number
        if self.at_once:
            self.at_once = False
            raise _AtOnce
