"""What a person sees of a training: a live line on a terminal, plain lines elsewhere, always on standard error."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class _Console(Console):
    """Falls silent where rich's own ends the process, and takes standard output with it."""

    def on_broken_pipe(self) -> None:
        """Called instead of raising BrokenPipeError."""
        self.quiet = True


class TrainProgress:
    """The step, the newest metrics, images a second and the time left.

    Use as a context manager; `update` is cheap enough for every step.  When standard error is closed, by `| head` or a
    terminal that has gone, the training goes on in silence: what is shown is not the run.
    """

    def __init__(self, total_steps: int, start: int, *, quiet: bool = False) -> None:
        self._console = _Console(file=sys.stderr, quiet=quiet, markup=False, emoji=False)
        # Not the console's own question: it takes FORCE_COLOR, which asks for colour, for a terminal.
        self._live = not sys.stderr.closed and sys.stderr.isatty() and not self._console.is_dumb_terminal
        self._total, self._start = total_steps, start
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
            transient=False,
        )
        self._task = self._bar.add_task("train", total=total_steps, completed=start, metrics="compiling…")

    def __enter__(self) -> "TrainProgress":
        self._show(self._bar.start)
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show(self._bar.stop)

    def update(self, step: int) -> None:
        """Moves the bar."""
        self._show(self._bar.update, self._task, completed=step)

    def report(self, step: int, split: str, values: dict[str, float]) -> None:
        """Shows metrics: beside the bar on a terminal (evaluations above it), else as a line of their own."""
        shown = "  ".join(f"{name} {values[key]:{form}}" for key, name, form in _SHOWN if values.get(key) is not None)
        if split == "train" and self._live:
            self._show(self._bar.update, self._task, completed=step, metrics=shown)
            return
        left = ""
        if split == "train" and step > self._start:
            seconds = (time.perf_counter() - self._began) / (step - self._start) * (self._total - step)
            left = f"  {seconds:.0f} s left"
        self._print(f"step {step}/{self._total}  {split}  {shown}{left}")

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._print(text)

    def _print(self, text: str) -> None:
        self._show(self._console.print, text, highlight=False, soft_wrap=True, markup=False)

    def _show(self, draw: Callable[..., None], *args: Any, **options: Any) -> None:
        try:
            draw(*args, **options)
        except Exception:  # of a closed file or terminal, and of rich, which is then half started
            self._console.quiet = True


_SHOWN = [
    ("loss", "loss", ".4f"),
    ("top1", "top-1", ".2%"),
    ("time/images_per_s", "images/s", ".0f"),
]
