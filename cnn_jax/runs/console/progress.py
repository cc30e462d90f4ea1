"""What a person sees of a training or a pass: a live line on a terminal, plain lines elsewhere, on standard error."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnn_jax.runs.folder.metrics_file import SPLITS


class _Console(Console):
    """Falls silent where rich's own ends the process, and takes standard output with it."""

    def on_broken_pipe(self) -> None:
        """Called instead of raising BrokenPipeError."""
        self.quiet = True


class _Shown:
    """What is shown on standard error, and never decides how a command ends."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = _Console(file=sys.stderr, quiet=quiet, markup=False, emoji=False)
        # Not the console's own question: it takes FORCE_COLOR, which asks for colour, for a terminal.
        self._live = not sys.stderr.closed and sys.stderr.isatty() and not self._console.is_dumb_terminal

    def _print(self, text: str) -> None:
        self._show(self._console.print, text, highlight=False, soft_wrap=True, markup=False)

    def _show(self, draw: Callable[..., None], *args: Any, **options: Any) -> None:
        try:
            draw(*args, **options)
        except Exception:  # of a closed file or terminal, and of rich, which is then half started
            self._console.quiet = True


class ImageProgress(_Shown):
    """How many images of a pass are done, images a second, and the time left.

    On a terminal they stand beside a bar. Elsewhere there is a line every ten seconds, and one at the end.

    Use as a context manager.

    Args:
      what: is done to them: "classifying", "evaluating".
      total: images. Those that fill the last batch are not counted.
    """

    def __init__(self, what: str, total: int, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._what, self._total, self._done = what, total, 0
        self._began = self._said = time.perf_counter()
        self._first = (0, self._began)  # what the first batch held, which waited for the compiler, and when it was done
        columns = TextColumn(what), MofNCompleteColumn(), BarColumn(bar_width=24), TextColumn("{task.fields[rate]}")
        off = quiet or not self._live
        self._bar = Progress(*columns, TimeRemainingColumn(), console=self._console, disable=off, transient=True)
        self._task = self._bar.add_task(what, total=total, rate="compiling…")

    def __enter__(self) -> "ImageProgress":
        self._show(self._bar.start)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show(self._bar.stop)
        if kind is None:
            seconds = time.perf_counter() - self._began
            self._print(f"{self._what}: {self._done:,} images in {seconds:.1f} s{self._rate()}")

    def add(self, count: int) -> None:
        """So many images are done."""
        self._done = min(self._done + count, self._total)
        now = time.perf_counter()
        if not self._first[0]:
            self._first = (self._done, now)
        self._show(self._bar.update, self._task, completed=self._done, rate=self._rate().removeprefix(", "))
        if not self._live and now - self._said >= 10:
            self._said = now
            self._print(f"{self._what}: {self._done:,} of {self._total:,} images{self._rate()}")

    def _rate(self) -> str:
        """Of what came after the first batch."""
        first, began = self._first
        if self._done <= first:
            return ""
        return f", {(self._done - first) / (time.perf_counter() - began):.0f} images/s"


class TrainProgress(_Shown):
    """The step, the newest metrics, images a second and the time left.

    On a terminal they stand beside a bar. Elsewhere there is a line for each epoch, of at least ten and at most twenty
    in a whole run.

    Use as a context manager; `update` is cheap enough for every step.  When standard error is closed, by `| head` or a
    terminal that has gone, the training goes on in silence: what is shown is not the run.

    Args:
      start: the step that the run goes on from.
      epochs: of the whole run.
    """

    def __init__(self, total_steps: int, start: int, epochs: float, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._total, self._epochs, self._done = total_steps, epochs, start
        self._first = (start, 0.0)  # the first step that is done, which waited for the compiler, and when it was
        lines = min(max(round(epochs), 10), 20)
        ends = {round(i * total_steps / lines) for i in range(1, lines + 1)}
        self._ends = sorted(end for end in ends if end > start)
        self._newest: dict[str, dict[str, float]] = {}
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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sum_up(self._done + 1)
        self._show(self._bar.stop)

    def update(self, step: int) -> None:
        """Moves the bar; what is reported of a step comes after this, and before the next."""
        self._show(self._bar.update, self._task, completed=step)
        if not self._first[1]:
            self._first = (step, time.perf_counter())
        self._sum_up(step)
        self._done = step

    def report(self, step: int, split: str, values: dict[str, float]) -> None:
        """Takes metrics in: those of training stand beside the bar; those of an evaluation are a line above it.

        Where there is no bar, they are kept for the next line.
        """
        if self._live and split == "train":
            self._show(self._bar.update, self._task, completed=step, metrics=_shown(values))
        elif self._live:
            self._print(f"step {step}/{self._total}  {split}  {_shown(values)}")
        else:
            self._newest[split] = values

    def _sum_up(self, before: int) -> None:
        """The line of the epoch, or of the part of a run, that is over, and of which all is reported."""
        if self._live or not self._ends or self._ends[0] >= before:
            return
        step = self._ends.pop(0)
        epoch = self._epochs * step / self._total
        shown = [f"step {step}/{self._total}"]
        shown += [f"{split}  {_shown(self._newest[split])}" for split in SPLITS if split in self._newest]
        shown += [f"epoch {round(epoch, 1):g}/{round(self._epochs, 1):g}"]
        self._newest.clear()
        first, began = self._first
        if first < step < self._total:
            seconds = (time.perf_counter() - began) / (step - first) * (self._total - step)
            shown += [f"{seconds:.0f} s left"]
        self._print("  ".join(shown))

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._print(text)


def _shown(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {values[key]:{form}}" for key, name, form in _SHOWN if values.get(key) is not None)


_SHOWN = [
    ("loss", "loss", ".4f"),
    ("top1", "top-1", ".2%"),
    ("time/images_per_s", "images/s", ".0f"),
]
