"""A run that goes on from the whole state of another: parameters, statistics, optimiser, averages, and the step."""

import contextlib
from pathlib import Path

from cnn_jax.config import ConfigError, named_parts
from cnn_jax.runs.content import Parent
from cnn_jax.runs.evaluation import saved_step
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.damage import StructureError
from cnn_jax.runs.folder.manifest import check_structure, stored_leaves
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.folder.paths import run_and_step
from cnn_jax.runs.folder.stored import Run, RunError, is_begun, read_run
from cnn_jax.runs.session import Session
from cnn_jax.training.carry import Carry


def find_parent(given: str, session: Session, workdir: Path | None) -> Parent:
    """The state that `--from RUN[@STEP]` means, after a look at whether it fits; STEP is latest, best or a number.

    A run that was begun goes on from its own checkpoints: what `given` meant then, it still means, whatever became of
    the parent.

    Raises:
      RunError, CheckpointError: when that is no run, or the step was not saved.
      ConfigError: when a run shall begin from itself, from another network or optimiser, or from its end.
    """
    if workdir is not None and is_begun(workdir):
        stored = read_run(workdir).content.parent
        if stored is not None and stored.given == given:
            return stored
    folder, word = run_and_step(given, "--from")
    if workdir is not None and folder.absolute() == workdir.absolute():
        raise ConfigError(f"`--from` is `{given}`, the run's own --workdir; leave it out to continue that run.")
    run = read_run(folder)
    with contextlib.closing(Checkpoints(run.checkpoints, read_only=True, identity=run.identity)) as checkpoints:
        step = saved_step(run, checkpoints, word)
        if step >= (last := session.derived.steps):
            raise ConfigError(
                f"`--from {given}` is at step {step}, and this run has {last} steps; ask for a longer one by "
                "`train.epochs`."
            )
        _check_network(run, session)
        saved = run.checkpoints / str(step)
        try:
            check_structure(stored_leaves(checkpoints.manifest(step), saved), session.abstract_checkpoint(), saved)
        except StructureError as error:
            what = str(error).partition(": ")[2].partition(". Undo")[0]
            raise ConfigError(
                f"`--from {given}` does not fit this run: {what}. Network, optimiser, `optim.freeze` and "
                "`optim.ema_decay` must be the parent's; to begin with its parameters alone, use `model.weights`."
            ) from error
    return Parent(given, run.identity, step)


def inherited(session: Session, parent: Parent) -> tuple[Carry, str]:
    """What the parent's checkpoint holds, to go on from; and a sentence on what becomes of the learning rate.

    Raises:
      RunError, CheckpointError: when the parent is no longer what it was, or its checkpoint is gone or damaged.
    """
    run = read_run(run_and_step(parent.given, "--from")[0])
    if run.identity != parent.identity:
        raise RunError(f"`{run.directory}` is another run now than the one that this run began from.")
    with contextlib.closing(Checkpoints(run.checkpoints, read_only=True, identity=run.identity)) as checkpoints:
        saved_step(run, checkpoints, parent.step)
        tree = checkpoints.restore(parent.step, session.abstract_checkpoint())
    return tree, _rates(run, session, parent)


def _check_network(run: Run, session: Session) -> None:
    there, here = (named_parts(config)["model.name"] for config in (run.config, session.config))
    if ":" not in there + here and there != here:
        raise ConfigError(
            f"`{run.directory}` is of {there}, and this run of {here}: the state of one network is none of another."
        )


def _rates(run: Run, session: Session, parent: Parent) -> str:
    """What the recomputed schedule does, from the parent's last step, whose rate its metrics tell, to the next one."""
    where = f"going on from `{run.directory}` at step {parent.step} of {run.derived.steps}, to {session.derived.steps}"
    new = f"the learning rate of the next step is {float(session.rate.at(parent.step)):.4g}"
    lines = [line for line in read_metrics(run.directory) if line["split"] == "train" and line["step"] <= parent.step]
    if not lines:
        return f"{where}: {new}"
    return f"{where}: {new}; it was {lines[-1]['learning_rate']:.4g} there in step {lines[-1]['step']}"
