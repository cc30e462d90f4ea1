"""Checkpoints with Orbax: written in the background, verified when read, the newest and the best kept."""

import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.parallel import is_writer, wait_for_all
from cnn_jax.runs.console.abandon import end_with_main_thread
from cnn_jax.runs.folder import older
from cnn_jax.runs.folder.best import NewestAndBest
from cnn_jax.runs.folder.checksum import checksum
from cnn_jax.runs.folder.damage import CheckpointError as CheckpointError
from cnn_jax.runs.folder.damage import DamagedError, diagnose, first_line, named, unreadable
from cnn_jax.runs.folder.manifest import (
    Manifest,
    check_origin,
    check_structure,
    leaves_of,
    read_manifest,
    stored_leaves,
)
from cnn_jax.runs.folder.orbax_logs import OrbaxLogs, ocp
from cnn_jax.runs.folder.paths import check_path
from cnn_jax.runs.machine.together import together


class Checkpoints:
    """The `checkpoints/` folder of a run: each step's tree of arrays, with its manifest in a JSON file beside it."""

    def __init__(self, directory: Path, *, keep: int = 1, read_only: bool = False, identity: str | None = None) -> None:
        """Opens the folder.

        Args:
          keep: how many of the newest stay, beside the one of the best validation top-1.
          identity: of the experiment: saved with each checkpoint, and another one is refused; None compares nothing.
        """
        self.directory = Path(directory).absolute()
        self._identity, self._kept = identity, NewestAndBest(self.directory, keep)
        self._under_way: int | None = None
        self._failed = False
        check_path(self.directory)
        self._logs = OrbaxLogs()
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._kept,
            best_fn=lambda metrics: metrics["top1"],  # without it Orbax does not write the metrics
            lightweight_initialize=True,  # the policy reads the metrics, and names a file that is damaged
            read_only=read_only,
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        try:
            self._manager = ocp.CheckpointManager(self.directory, options=options, item_names=("tree", "checksum"))
        except BaseException as error:
            self._logs.close()
            if isinstance(error, OSError):
                raise unreadable(self.directory, error) from error
            raise

    @property
    def steps(self) -> list[int]:
        """The steps saved, in ascending order."""
        try:
            names = [p.name for p in self.directory.iterdir() if p.name.isdecimal()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreadable(self.directory, error) from error
        return sorted(int(name) for name in names if name == str(int(name)) and int(name) != self._under_way)

    @property
    def best_step(self) -> int | None:
        """The step of the highest validation top-1, the newest of equals; None when none was measured.

        Raises:
          CheckpointError: when what one of them reached cannot be read.
        """
        return self._kept.best(self.steps)

    @property
    def measured(self) -> dict[int, float]:
        """The validation top-1 of the steps that were evaluated.

        Raises:
          CheckpointError: as `best_step`.
        """
        return self._kept.measured(self.steps)

    def manifest(self, step: int) -> Manifest:
        """What the checkpoint of a step says of itself."""
        return read_manifest(self.directory / str(step))

    def save(self, step: int, tree: Any, *, top1: float | None = None, lines: tuple[int, int] | None = None) -> None:
        """Copies a tree (a run's: `state`, `window`) writes it in the background; its arrays may be donated at once.

        Args:
          top1: on the validation split at this step, 0 to 1; decides which checkpoint is the best.
          lines: how many lines `metrics.jsonl` has at this step, and their CRC-32.

        Raises:
          CheckpointError: when this save, or the one before it, fails.
        """
        self.wait()
        sums = tuple(int(s) for s in jax.device_get(checksum(tree)))
        manifest = Manifest(step, self._identity, top1, lines, leaves_of(tree), sums)
        args = ocp.args.Composite(tree=ocp.args.StandardSave(tree), checksum=ocp.args.JsonSave(manifest.to_json()))
        self._kept.note(step, top1)
        self._under_way = step
        try:
            self._manager.save(step, args=args, metrics=None if top1 is None else {"top1": float(top1)}, force=True)
        except Exception as error:
            raise self._failure(step, error) from error

    def restore(self, step: int, target: Any, *, part: tuple[str, ...] = ()) -> Any:
        """The tree saved at a step, verified.

        Args:
          target: a tree of `jax.ShapeDtypeStruct` with the shapes, dtypes and shardings wanted.
          part: the beginnings of the paths of what the target holds, as "state.params."; the rest is then neither read
            nor verified. Empty: the target is the whole tree.

        Raises:
          DamagedError: when its bytes are not the ones saved.
          UnreadableError, ForeignError, StructureError: when something else stands against it.
        """
        self.wait()
        folder = self.directory / str(step)

        def examine() -> tuple[Manifest, Any]:
            manifest, wanted = read_manifest(folder), target
            check_origin(manifest, folder, step, self._identity)
            if manifest.is_old:
                wanted = older.as_written(target)
            stored = stored_leaves(manifest, folder)
            check_structure(tuple(leaf for leaf in stored if not part or leaf[0].startswith(part)), wanted, folder)
            return manifest, wanted

        def read() -> Any:
            how = ocp.args.StandardRestore(wanted)
            if part:
                places = ocp.checkpoint_utils.construct_restore_args(wanted)
                how = ocp.args.PyTreeRestore(wanted, restore_args=places, partial_restore=True)
            args = ocp.args.Composite(tree=how)
            try:
                tree = self._manager.restore(step, args=args).tree
            except Exception as error:  # Orbax, TensorStore and JSON each raise their own kinds on damaged files
                if isinstance(error, TimeoutError) and jax.process_count() > 1:
                    raise  # a peer's
                raise diagnose(folder, error) from error
            if manifest.is_old:
                tree = older.without_added(tree, target)
            found = np.asarray(jax.device_get(checksum(tree))).tolist()
            paths = [path for path, *_ in leaves_of(tree)]
            sums = manifest.sums_by_path() if part else dict(zip(paths, manifest.sums, strict=True))
            for path, a in zip(paths, found, strict=True):
                if a != sums[path]:
                    raise DamagedError(f"{named(folder)} is damaged: {path} differs from what was saved.")
            return older.with_added(tree, target, f"{named(folder)}") if manifest.is_old else tree

        manifest, wanted = together(folder, examine)
        return together(folder, read)

    def restore_newest(self, target: Any) -> tuple[int, Any] | None:
        """The newest step that verifies, and its tree; None when nothing is saved.

        Those after it, which their checksums prove damaged, are then moved to `damaged/` beside the folder, with a
        warning.  Where none verifies, nothing is moved.

        Raises:
          CheckpointError: when there are checkpoints and none of them verifies, or one cannot be used for a reason that
            is no damage.
        """
        damaged: list[tuple[int, CheckpointError]] = []
        for step in reversed(steps := self.steps):
            try:
                tree = self.restore(step, target)
            except DamagedError as error:
                damaged.append((step, error))
                continue
            for bad, why in damaged:
                warnings.warn(f"{why} It was moved to {self._move_aside(bad)}; using step {step}.", stacklevel=2)
            return step, tree
        if not steps:
            return None
        raise CheckpointError(
            f"none of the checkpoints {steps} in {self.directory} can be used, and nothing was changed. Put back a "
            f"copy of one, or give another --workdir to begin anew. {damaged[0][1]}"
        )

    def _move_aside(self, step: int) -> Path:
        folder = self.directory.parent / "damaged"
        taken = {p.name for p in folder.iterdir()} if folder.is_dir() else set()
        aside = folder / next(n for n in (str(step), *(f"{step}.{k}" for k in range(1, 1000))) if n not in taken)
        wait_for_all(f"found checkpoint {step} damaged")
        if is_writer():
            folder.mkdir(exist_ok=True)
            (self.directory / str(step)).rename(aside)
        wait_for_all(f"moved checkpoint {step} aside")
        self._manager.reload()
        return aside

    def poll(self) -> int | None:
        """The step whose save has just ended; cheap enough for every step.

        Raises:
          CheckpointError: when it has failed.
        """
        if self._under_way is None or self._manager.is_saving_in_progress():
            return None
        return self.wait()

    def wait(self) -> int | None:
        """Returns when everything saved so far is on disk, with its step.

        Raises:
          CheckpointError: when the save has failed.
        """
        step = self._under_way
        if step is None:
            return None
        try:
            self._manager.wait_until_finished()
            if not (self.directory / str(step)).is_dir():
                raise FileNotFoundError("it is not there after it was written")
        except Exception as error:
            raise self._failure(step, error) from error
        self._under_way = None
        return step

    def _failure(self, step: int, error: Exception) -> Exception:
        if jax.process_count() > 1 and isinstance(error, (TimeoutError, jax.errors.JaxRuntimeError)):
            return error  # a peer's
        self._failed = True
        end_with_main_thread()
        folder = self.directory / str(step)
        return CheckpointError(
            f"{named(folder)} could not be saved: {first_line(error)}. Mend the cause (space, permissions, the "
            "mount), and the same command continues from the checkpoint before it."
        )

    def close(self) -> None:
        """Waits, and releases the folder."""
        try:
            if not self._failed:  # Orbax's threads would wait for minutes for a save that will never be whole
                self.wait()
                self._manager.close()
        finally:
            self._logs.close()
