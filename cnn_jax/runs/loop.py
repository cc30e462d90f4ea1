"""The training loop: a step, its metrics, an evaluation, a checkpoint, until the run is done or stopped.

It goes on from the newest checkpoint that verifies, from its parent's state, or from `initial_state`, and gives events.
"""

import contextlib
import dataclasses
import functools
import math
import warnings
from collections.abc import Generator, Iterator
from typing import Any

import jax
import numpy as np

from cnn_jax.parallel import Agreement, is_writer, known_to_all
from cnn_jax.runs.calls import Calls
from cnn_jax.runs.console.headline import headline
from cnn_jax.runs.console.pictures import draw_pictures, is_drawn
from cnn_jax.runs.console.profile import PROFILED_STEPS, StepProfiler
from cnn_jax.runs.console.progress import TrainProgress
from cnn_jax.runs.console.signals import Stopped, StopSignals
from cnn_jax.runs.evaluation import evaluate_split
from cnn_jax.runs.events import Event, Finished, Logged, Result, Saved
from cnn_jax.runs.folder.checkpoint import Checkpoints
from cnn_jax.runs.folder.checksum import checksum
from cnn_jax.runs.folder.noted import missing_newest
from cnn_jax.runs.folder.predictions import write_predictions
from cnn_jax.runs.folder.record import Record
from cnn_jax.runs.folder.run import RunWriter
from cnn_jax.runs.log_window import LogWindow
from cnn_jax.runs.session import Session
from cnn_jax.runs.start.continuing import inherited
from cnn_jax.runs.start.initial_state import initial_state
from cnn_jax.training.carry import Carry
from cnn_jax.training.finite import not_finite
from cnn_jax.training.metrics import Calibration, TrainMetrics
from cnn_jax.training.state import TrainState


class DivergedError(RuntimeError):
    """A loss, or the state, is no longer one of numbers."""

    ended = "diverged"  # in the run's record


def run_events(
    session: Session, writer: RunWriter, stop: StopSignals, *, quiet: bool, profile: bool, watched: bool
) -> Iterator[Event]:
    """What happens from the newest checkpoint of a folder to the end of its run; see `training_events`.

    Args:
      watched: whether someone may take their time over an event; the devices then come to rest, and the clock stops.
    """
    config, run, last = session.config, writer.run, session.derived.steps
    directory = run.directory
    saved = Checkpoints(run.checkpoints, keep=config.train.keep_checkpoints, identity=run.identity)
    with contextlib.closing(saved) as checkpoints:
        gone = missing_newest(directory, checkpoints.steps) if is_writer() else None
        restored = checkpoints.restore_newest(session.abstract_checkpoint())
        parent = run.content.parent
        step = restored[0] if restored else parent.step if parent else 0
        if gone:
            warnings.warn(f"{gone} Nothing is damaged: training goes on from step {step}.", stacklevel=2)
        if restored:
            _check_finite(session, restored[1]["state"], step)
        test = writer.start(step, checkpoints.manifest(step) if restored else None)
        if test is not None:
            _check_test(session, test)
        tested = test is not None or not session.tests
        quiet = quiet or not is_writer()
        with TrainProgress(last, step, last / session.derived.steps_per_epoch, quiet=quiet) as progress:
            progress.say(headline(session, writer.here, directory))
            if known_to_all(is_writer() and step == last and tested and is_drawn(directory)):
                progress.say(f"this run is finished: all {last} steps are done, and nothing was changed.")
                stop.at_once = False
                yield Finished(Result(directory, last, test))
                return
            if skipped := session.info.skipped:
                listed = writer.list_skipped(skipped)
                progress.say(f"files left out, in training and evaluation: {len(skipped)}, all listed in {listed}")
                progress.say("\n".join(f"  {file}" for file in skipped[:10]) + ("\n  …" if len(skipped) > 10 else ""))
            if restored:
                progress.say(f"continuing from the checkpoint at step {step}")
                carry: Carry = restored[1]
            elif parent:
                carry, said = inherited(session, parent)
                _check_finite(session, carry["state"], step)
                progress.say(said)
                checkpoints.save(step, carry, lines=writer.lines)  # so that the parent is not needed again
            else:
                carry = session.carry(initial_state(session, progress.say))
                _check_finite(session, carry["state"], step)
            state = carry["state"]
            if step < last or not tested:
                agree = Agreement(session.layout)
                with Record(writer, step) as record:
                    if step < last:
                        shown = record, checkpoints, progress
                        state = yield from _steps(session, writer, *shown, carry, step, stop, agree, profile, watched)
                        with record.spend("saving"):
                            writer.note_saved(checkpoints.wait())
                    stop.end_if_asked(last)
                    if session.tests:
                        with record.spend("evaluation"):
                            test, predictions = evaluate_split(session, state.eval_variables, session.dataset("test"))
                        _check_test(session, test)
                        if is_writer():  # before the line, which says that all is there
                            write_predictions(directory, predictions)
                        writer.write(last, "test", test)
                        progress.report(last, "test", test)
                    with record.spend("drawing"):
                        draw_pictures(directory, session, state.eval_variables)
            else:
                draw_pictures(directory, session, state.eval_variables)
            stop.at_once = False
            if test is not None:
                yield Logged(last, "test", test)
    yield Finished(Result(directory, last, test))


def _check_finite(session: Session, state: TrainState, step: int) -> None:
    """Raises DivergedError where a state is not one of numbers: a step's loss comes from before its update."""
    if bad := not_finite(dataclasses.replace(state, loss_scale=None)):
        raise _diverged(session, f"the state after step {step} is not finite (NaN or infinity in {bad[0]})")


def _check_test(session: Session, test: dict[str, Any]) -> None:
    """Raises DivergedError where the test figures are not numbers: numbers in a state may still overflow."""
    for name, value in test.items():
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            raise _diverged(session, f"the test {name} at step {session.derived.steps} is not finite")


def _diverged(session: Session, what: str) -> DivergedError:
    rate = f"A lower `optim.learning_rate` (now {session.config.optim.learning_rate:g}), a warm-up or"
    return DivergedError(f"{what}. {rate} `optim.clip_norm` may keep it finite.")


def _compile_ahead(session: Session, carry: Carry) -> None:
    """Compiles what the first log line, evaluation and checkpoint need, which would keep the device waiting then."""
    session.carry(carry["state"])
    with np.errstate(invalid="ignore"):  # the means of no step
        jax.device_get(carry["window"]).compute()
    if session.has_validation or session.tests:
        session.compiled_eval_step  # noqa: B018
        jax.device_get(Calibration.empty()).compute()
    checksum(carry)


def _steps(
    session: Session,
    writer: RunWriter,
    record: Record,
    checkpoints: Checkpoints,
    progress: TrainProgress,
    carry: Carry,
    step: int,
    stop: StopSignals,
    agree: Agreement,
    profile: bool,
    watched: bool,
) -> Generator[Event, None, TrainState]:
    config, derived, first, last = session.config, session.derived, step, session.derived.steps
    every = derived.log_every, derived.checkpoint_every, derived.eval_every if session.has_validation else last
    traced = (first + PROFILED_STEPS.start, first + PROFILED_STEPS.stop) if profile else ()
    calls = Calls(session, last, every=every, at=traced)
    with record.spend("compile"):
        train_steps = calls.compile(step)
        _compile_ahead(session, carry)
    changes = {phase.first_step for phase in session.phases[1:]}  # of what is frozen
    stop.at_once = False  # from here on there are steps to save
    stop.end_if_asked(step)
    validation = session.dataset("validation") if session.has_validation else None
    finished: TrainMetrics | None = None  # of a line that is due, and is written when the device has its next step

    def line() -> list[Event]:
        nonlocal finished
        if finished is None:
            return []
        metrics, finished = finished, None
        return [report(step, "train", window.line(metrics))]

    def report(step: int, split: str, values: dict[str, Any]) -> Logged:
        writer.write(step, split, values)
        progress.report(step, split, values)
        if not math.isfinite(values["loss"]):
            raise _diverged(session, f"the {split} loss at step {step} is {values['loss']}")
        return Logged(step, split, values)

    def save() -> None:
        with window.paused(), record.spend("saving"):
            writer.note_saved(checkpoints.wait())
            _check_finite(session, carry["state"], step)
            checkpoints.save(step, carry, top1=top1, lines=writer.lines)
        record.saved(step)

    with (
        StepProfiler(writer.run.directory / "profile", enabled=profile) as profiler,
        contextlib.closing(calls.ready(step)) as ready,
    ):
        window = LogWindow(config.data.batch_size)
        while step < last:
            events: list[Event] = []
            if step in changes:
                with window.paused(), record.spend("compile"):
                    train_steps = calls.compile(step)
            profiler.before_step(step - first)
            with window.waiting(), record.spend("waiting"):
                count, batch = next(ready)
            carry, made = train_steps(carry, batch)
            events += line()
            step += count
            window.add(count, made)
            stopping = agree(stop.requested or 0)
            progress.update(step)
            writer.note_saved(checkpoints.poll())
            logs, saves, evaluates = (step % n == 0 or step == last for n in every)
            if logs:
                finished, carry = carry["window"], session.carry(carry["state"])
            if saves or evaluates or stopping:
                events += line()
            top1 = None
            if evaluates and validation is not None:
                with window.paused(), record.spend("evaluation"):
                    values, _ = evaluate_split(session, carry["state"].eval_variables, validation)
                events.append(report(step, "validation", values))
                top1 = values["top1"]
            if saves or stopping:
                save()
                events.append(Saved(step, functools.partial(jax.device_get, carry["state"])))
            if stopping and step < last:
                with record.spend("saving"):
                    writer.note_saved(checkpoints.wait())
                raise Stopped(stopping, step)
            try:
                with window.paused() if events and watched else contextlib.nullcontext():
                    yield from events
            except GeneratorExit:  # whoever watches has seen enough
                if not saves:
                    line()
                    save()
                raise
    return carry["state"]
