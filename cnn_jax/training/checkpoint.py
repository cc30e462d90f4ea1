"""Checkpoints with Orbax: written in the background, verified when read, the newest and the best kept."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from cnn_jax.parallel import is_writer, wait_for_all
from cnn_jax.training.checksum import checksum
from cnn_jax.training.orbax_logs import OrbaxLogs


class CheckpointError(RuntimeError):
    """There is no checkpoint that can be used: the message says which were tried and why each was refused."""


class Checkpoints:
    """The `checkpoints/` folder of a run: each step's tree of arrays, with its checksums in a JSON file beside it."""

    def __init__(self, directory: Path, *, keep: int = 1, read_only: bool = False) -> None:
        """Opens the folder; `keep` is how many of the newest stay, beside the one of the best validation top-1."""
        self._logs = OrbaxLogs()
        self.directory = Path(directory).absolute()
        # BestN keeps the newest of equals; without its last argument every unmeasured checkpoint would stay too.
        best = BestN(get_metric_fn=_top1, n=1, keep_checkpoints_without_metrics=False)
        options = ocp.CheckpointManagerOptions(
            # Not `max_to_keep`: with best_fn, that deletes the newest.  best_fn is there because without it Orbax
            # does not write the metrics.
            preservation_policy=AnyPreservationPolicy([LatestN(keep), best]),
            best_fn=_top1,
            read_only=read_only,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options, item_names=("tree", "checksum"))

    @property
    def steps(self) -> list[int]:
        """The steps saved, in ascending order."""
        return sorted(self._manager.all_steps())

    @property
    def best_step(self) -> int | None:
        """The step of the highest validation top-1, the newest of equals; None when none was measured."""
        return self._manager.best_step()

    def save(self, step: int, tree: Any, *, top1: float | None = None) -> None:
        """Copies the tree and writes it in the background; the caller may donate its arrays at once.

        Args:
          top1: on the validation split at this step, 0 to 1; decides which checkpoint is the best.
        """
        sums = [int(s) for s in jax.device_get(checksum(tree))]
        args = ocp.args.Composite(tree=ocp.args.StandardSave(tree), checksum=ocp.args.JsonSave(sums))
        self._manager.save(step, args=args, metrics=None if top1 is None else {"top1": float(top1)}, force=True)

    def restore(self, step: int, target: Any) -> Any:
        """The tree saved at a step, verified.

        Args:
          target: a tree of `jax.ShapeDtypeStruct` with the shapes, dtypes and shardings wanted.

        Raises:
          CheckpointError: when it cannot be read, or its bytes are not the ones saved.
        """
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(target), checksum=ocp.args.JsonRestore())
        try:
            restored = self._manager.restore(step, args=args)
        except Exception as error:  # Orbax, TensorStore and JSON each raise their own kinds on damaged files
            raise CheckpointError(
                f"checkpoint {step} in {self.directory} cannot be read: {_first_line(error)}"
            ) from error
        found = np.asarray(jax.device_get(checksum(restored.tree))).tolist()
        if found != restored.checksum:
            paths = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(restored.tree)]
            bad = [p for p, a, b in zip(paths, found, restored.checksum, strict=True) if a != b]
            raise CheckpointError(
                f"checkpoint {step} in {self.directory} is damaged: {bad[0]} differs from what was saved."
            )
        return restored.tree

    def restore_newest(self, target: Any) -> tuple[int, Any] | None:
        """The newest step that verifies, and its tree; None when nothing was ever saved.

        A damaged checkpoint is moved to `damaged/` beside the folder, with a warning, and the one before it is tried.

        Raises:
          CheckpointError: when there are checkpoints and none of them can be used.
        """
        steps = self.steps
        for step in reversed(steps):
            try:
                return step, self.restore(step, target)
            except CheckpointError as error:
                aside = self._move_aside(step)
                warnings.warn(f"{error} It was moved to {aside}; trying the one before.", stacklevel=2)
        if steps:
            raise CheckpointError(
                f"none of the checkpoints {steps} in {self.directory} can be used; they were moved to "
                f"{self.directory.parent / 'damaged'}. Give another --workdir to start afresh."
            )
        return None

    def _move_aside(self, step: int) -> Path:
        aside = self.directory.parent / "damaged" / str(step)
        if is_writer():
            aside.parent.mkdir(exist_ok=True)
            if aside.exists():
                shutil.rmtree(aside)
            (self.directory / str(step)).rename(aside)
        wait_for_all(f"moved checkpoint {step} aside")
        self._manager.reload()
        return aside

    def wait(self) -> None:
        """Returns when everything saved so far is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and releases the folder."""
        self._manager.close()
        self._logs.close()


def _top1(metrics: dict[str, float]) -> float:
    return metrics["top1"]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
