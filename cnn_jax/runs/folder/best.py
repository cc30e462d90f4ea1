"""Which checkpoint is the best, and which of them stay."""

import contextlib
import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.runs.folder.damage import CheckpointError, first_line
from cnn_jax.runs.folder.manifest import read_manifest
from cnn_jax.runs.folder.metrics_file import RunError, read_metrics


def validation_top1(folder: Path) -> float | None:
    """The validation top-1 of the checkpoint in a folder; None where none was measured.

    It stands in the manifest, which has a checksum; for a checkpoint of 0.1, whose manifest has no such number, in
    `metrics.jsonl`.  Orbax's own file beside it, which other tools read, is compared, and a warning names it where it
    says something else.

    Raises:
      CheckpointError: when nothing that can be read says it, naming the file.
    """
    path = folder / "metrics" / "metrics"
    beside, fault = None, None
    try:
        beside = float(json.loads(path.read_bytes())["top1"]) if path.exists() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        fault = first_line(error)
    try:
        manifest = read_manifest(folder)
        known = not manifest.is_old
        top1 = manifest.top1
    except CheckpointError:
        known = False
    if not known:
        top1 = _logged(folder)
        if top1 is None and fault is None:
            return beside
        if top1 is None:
            raise CheckpointError(f"{path} is damaged ({fault}), so the best checkpoint is not known.")
    if fault is not None or beside != top1:
        says = f"is damaged ({fault})" if fault is not None else f"says {beside}"
        warnings.warn(f"{path} {says}; it was {top1}, which is used.", stacklevel=2)
    return top1


def _logged(folder: Path) -> float | None:
    """What `metrics.jsonl` says of the validation split at a checkpoint's step."""
    try:
        lines = read_metrics(folder.parent.parent)
    except RunError:
        return None
    at_step = [line for line in lines if line["split"] == "validation" and str(line["step"]) == folder.name]
    return at_step[-1].get("top1") if at_step else None


class NewestAndBest:
    """Orbax's preservation policy of a run: the newest stay, the best, and those that cannot be judged."""

    def __init__(self, directory: Path, newest: int) -> None:
        self._directory, self._newest = directory, newest
        self._known: dict[int, float | None] = {}

    def note(self, step: int, top1: float | None) -> None:
        """Takes the top-1 of a checkpoint that is being saved."""
        self._known[step] = top1

    def measured(self, steps: Iterable[int]) -> dict[int, float]:
        """The top-1 of those of the steps that were evaluated."""
        return {step: top1 for step in steps if (top1 := self._top1(step)) is not None}

    def best(self, steps: Iterable[int]) -> int | None:
        """The step of the highest top-1, the newest of equals; None when none was measured."""
        measured = self.measured(steps)
        return max(measured, key=lambda step: (measured[step], step), default=None)

    def _top1(self, step: int) -> float | None:
        if step not in self._known:
            self._known[step] = validation_top1(self._directory / str(step))
        return self._known[step]

    def should_preserve(self, checkpoints: Sequence[Any], **_: Any) -> list[bool]:
        """One answer for each checkpoint, as Orbax asks."""
        steps, judged = [c.step for c in checkpoints], []
        for step in steps:
            with contextlib.suppress(CheckpointError):
                self._top1(step)
                judged.append(step)
        stay = {*sorted(steps)[-self._newest :], self.best(judged)}
        return [step in stay or step not in judged for step in steps]
