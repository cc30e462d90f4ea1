"""What a person sees of a study while it runs: arms and seeds on a terminal, a line for each run elsewhere."""

import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cnn_jax.study.run import Entry

_SIGNS = {"waiting": "·", "stopped": "stopped", "finished": "done", "failed": "failed", "stale": "stale"}


class StudyDisplay:
    """On standard error; test figures are not shown before all runs are done.

    Use as a context manager, and hand `watch` to `ablate`.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._runs: dict[Path, Entry] = {}
        self._began, self._ended_here, self._quiet = time.perf_counter(), 0, quiet
        console = Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
        # Not the console's own question: it takes FORCE_COLOR, which asks for colour, for a terminal.
        self._live = not quiet and not sys.stderr.closed and sys.stderr.isatty() and not console.is_dumb_terminal
        self._screen = Live(console=console, refresh_per_second=4, get_renderable=self._table)

    def __enter__(self) -> "StudyDisplay":
        if self._live:
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._screen.stop()

    def watch(self, run: Entry) -> None:
        """Takes in what a run is now; the first time, as it is found."""
        found = run.folder not in self._runs
        self._runs[run.folder] = run
        if self._quiet or found or run.state == "running":
            return
        self._ended_here += run.state in ("finished", "failed")
        if not self._live:
            print(f"{run.arm}, seed {run.seed}: {run.state}; {self._summary()}", file=sys.stderr, flush=True)
        if run.why:
            print(f"  {run.arm}, seed {run.seed}: {run.why}", file=sys.stderr, flush=True)

    def _summary(self) -> str:
        counts = Counter(run.state for run in self._runs.values())
        done = sum(counts[state] for state in ("finished", "failed", "stale"))
        seconds = time.perf_counter() - self._began
        text = f"{done} of {len(self._runs)} runs, {seconds:.0f} s"
        if self._ended_here and done < len(self._runs):
            part = sum(run.progress for run in self._runs.values() if run.state == "running")
            left = (len(self._runs) - done - part) * seconds / (self._ended_here + part)
            text += f", about {left:.0f} s left"
        return text

    def _table(self) -> Table:
        seeds = dict.fromkeys(run.seed for run in self._runs.values())
        table = Table("arm", *(f"seed {seed}" for seed in seeds), box=None, caption=self._summary())
        cells: dict[str, list[str]] = {}
        for run in self._runs.values():
            shown = f"{run.progress:.0%}" if run.state == "running" else _SIGNS[run.state]
            cells.setdefault(run.arm, []).append(shown)
        for arm, row in cells.items():
            table.add_row(arm, *row)
        return table
