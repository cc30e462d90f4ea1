"""The training loop: a step, its metrics, an evaluation, a checkpoint, until the run is done or stopped."""

import contextlib
import dataclasses
import math
from pathlib import Path
from typing import Any

import jax

from cnn_jax.config import Config, check_types, identity
from cnn_jax.data import Prefetch, train_batches
from cnn_jax.parallel import Agreement, is_writer, joined, peak_bytes
from cnn_jax.training.checkpoint import Checkpoints
from cnn_jax.training.derived import settle_batch_norm
from cnn_jax.training.evaluation import evaluate_split
from cnn_jax.training.finite import not_finite
from cnn_jax.training.lock import only_training
from cnn_jax.training.paths import check_path
from cnn_jax.training.pictures import draw_curves, draw_predictions, is_drawn
from cnn_jax.training.profile import StepProfiler
from cnn_jax.training.progress import TrainProgress
from cnn_jax.training.run import RunWriter, open_run
from cnn_jax.training.session import Session, open_session, precision
from cnn_jax.training.signals import Stopped, StopSignals
from cnn_jax.training.start import first_tree, settle_weights
from cnn_jax.training.state import TrainState
from cnn_jax.training.window import MetricWindow


class DivergedError(RuntimeError):
    """The training loss, or the state, is no longer one of numbers."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished training returns."""

    run: Path
    step: int
    test: dict[str, Any]
    """The test split's evaluation: num_examples, loss, nll, ece, top1, top5, per_class."""


def train(config: Config, workdir: Path | str | None = None, *, profile: bool = False) -> Result:
    """Trains an experiment to its end, continuing where the folder's newest checkpoint stands.

    Args:
      workdir: the run folder; None is one below `runs/`, named by the data set, the model and the identity.
      profile: write a trace of ten steps, for Perfetto or xprof, into the folder's `profile/`.

    Raises:
      ConfigError: when the configuration contradicts itself, or the folder holds another experiment.
      RunError: when another process writes to the folder, it was removed meanwhile, its metrics are damaged beyond
        repair, or it was trained and its checkpoints are gone.
      DataError: when the data set is not prepared.
      CheckpointError: when the newest checkpoint cannot be used and is not proved to be damaged, when none can be
        used, or when one cannot be saved.
      DivergedError: when the loss or the state is no longer finite; the checkpoints before stay.
      Stopped: on SIGTERM, SIGINT, SIGHUP or SIGUSR1, to this process or to another of the run, after a checkpoint.
      PeerError: when another process of the run dies.
    """
    config = check_types(config)
    parallel = config.parallel
    join = joined(parallel.distributed, parallel.coordinator, parallel.num_processes, parallel.process_id)
    with only_training(), join, precision(config.model.dtype):
        config = settle_weights(settle_batch_norm(config, num_devices=jax.device_count()))
        if workdir is None:
            workdir = Path("runs") / f"{config.data.name}-{config.model.name}-{identity(config)[:8]}"
        check_path(Path(workdir))
        session = open_session(config)
        with contextlib.closing(open_run(Path(workdir), config, session.derived)) as writer:
            return _run(session, writer, profile)


def _run(session: Session, writer: RunWriter, profile: bool) -> Result:
    config, run, last = session.config, writer.run, session.derived.steps
    directory = run.directory
    saved = Checkpoints(run.checkpoints, keep=config.train.keep_checkpoints, identity=run.identity)
    with contextlib.closing(saved) as checkpoints:
        restored = checkpoints.restore_newest(session.checkpoint_target())
        step = restored[0] if restored else 0
        test = writer.start(step, checkpoints.manifest(step) if restored else None)
        with TrainProgress(last, step, quiet=not is_writer()) as progress:
            progress.say(
                f"{directory}: " + ", ".join(f"{k} {v:g}" for k, v in dataclasses.asdict(session.derived).items())
            )
            if test is not None and is_drawn(directory):
                progress.say(f"this run is finished: all {last} steps are done, and nothing was changed.")
                return Result(directory, last, test)
            if skipped := session.info.skipped:
                listed = writer.list_skipped(skipped)
                progress.say(f"files left out, in training and evaluation: {len(skipped)}, all listed in {listed}")
                progress.say("\n".join(f"  {file}" for file in skipped[:10]) + ("\n  …" if len(skipped) > 10 else ""))
            if restored:
                progress.say(f"continuing from the checkpoint at step {step}")
            tree = restored[1] if restored else first_tree(session)
            state: TrainState = tree["state"]
            _check_finite(session, state, step)
            if step < last:
                state = _steps(session, writer, checkpoints, progress, tree, step, profile)
                writer.note_saved(checkpoints.wait())
            if test is None:
                test = evaluate_split(session, state.eval_variables, session.dataset("test"))
                writer.write(last, "test", test)
            progress.report(last, "test", test)
    if is_writer():
        draw_curves(directory)
    draw_predictions(directory, session, state.eval_variables)
    return Result(directory, last, test)


def _check_finite(session: Session, state: TrainState, step: int) -> None:
    """Raises DivergedError where a state is not one of numbers: a step's loss comes from before its update."""
    if bad := not_finite(dataclasses.replace(state, loss_scale=None)):
        raise _diverged(session, f"the state after step {step} is not finite (NaN or infinity in {bad[0]})")


def _diverged(session: Session, what: str) -> DivergedError:
    return DivergedError(
        f"{what}. A lower `optim.learning_rate` (now {session.config.optim.learning_rate:g}), a warm-up or "
        "`optim.clip_norm` may keep it finite."
    )


def _steps(
    session: Session,
    writer: RunWriter,
    checkpoints: Checkpoints,
    progress: TrainProgress,
    tree: dict[str, Any],
    step: int,
    profile: bool,
) -> TrainState:
    config, derived, layout = session.config, session.derived, session.layout
    rows = layout.rows(config.data.batch_size)
    batches = train_batches(session.training_data(), config.data.batch_size, seed=config.seed, start=step, rows=rows)
    train_step = session.compile_train_step()
    progress.say(f"memory of a step: {peak_bytes(train_step) / 1e6:.0f} MB on each device")
    validation = session.dataset("validation") if session.has_validation else None
    first, last, state = step, derived.steps, tree["state"]

    def report(step: int, split: str, values: dict[str, Any]) -> None:
        writer.write(step, split, values)
        progress.report(step, split, values)
        if not math.isfinite(values["loss"]):
            raise _diverged(session, f"the {split} loss at step {step} is {values['loss']}")

    line_due, agree = False, Agreement(layout)
    with (
        StopSignals() as stop,
        StepProfiler(writer.run.directory / "profile", enabled=profile) as profiler,
        Prefetch(batches, layout.put) as ready,
    ):
        window = MetricWindow(jax.device_get(tree["window"]), config.data.batch_size)
        while step < last:
            profiler.before_step(step - first)
            with window.waiting():
                batch = next(ready)
            state, metrics = train_step(state, batch)
            if line_due:  # one step late, so that the device works while the line is written
                report(step, "train", window.take())
            step += 1
            window.add(metrics)
            stopping = agree(stop.requested or 0)
            progress.update(step)
            writer.note_saved(checkpoints.poll())
            line_due, saves, evaluates = (
                step % every == 0 or step == last
                for every in (derived.log_every, derived.checkpoint_every, derived.eval_every)
            )
            if line_due and (saves or evaluates or stopping):
                report(step, "train", window.take())
                line_due = False
            top1 = None
            if evaluates and validation is not None:
                with window.paused():
                    values = evaluate_split(session, state.eval_variables, validation)
                report(step, "validation", values)
                top1 = values["top1"]
            if saves or stopping:
                with window.paused():
                    writer.note_saved(checkpoints.wait())
                    _check_finite(session, state, step)
                    tree = {"state": state, "window": window.fold()}
                    checkpoints.save(step, tree, top1=top1, lines=writer.lines)
            if stopping and step < last:
                writer.note_saved(checkpoints.wait())
                raise Stopped(stopping, step)
    return state
