"""A trace of a few steps."""

from pathlib import Path
from types import TracebackType

import jax

# Of this start of the command: past compilation and the first touches of memory.
PROFILED_STEPS = range(10, 20)


class StepProfiler:
    """Traces `PROFILED_STEPS` into a folder that Perfetto and xprof read; a shorter run is traced to its end."""

    def __init__(self, directory: Path, *, enabled: bool) -> None:
        self._directory, self._enabled, self._tracing = directory, enabled, False

    def __enter__(self) -> "StepProfiler":
        return self

    def before_step(self, number: int) -> None:
        """Starts or stops the trace before the step with this number, counted from the start of the command."""
        if self._enabled and number == PROFILED_STEPS.start:
            jax.profiler.start_trace(self._directory)
            self._tracing = True
        elif number == PROFILED_STEPS.stop:
            self._stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._tracing:
            jax.profiler.stop_trace()
            self._tracing = False
