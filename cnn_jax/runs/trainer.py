"""Training from a configuration to its result: the folder is taken, the loop is run, and what it says is shown."""

import contextlib
import dataclasses
from collections.abc import Generator
from pathlib import Path

import jax

from cnn_jax.config import Config, check_types, flatten, identity_0_1, neighbours
from cnn_jax.parallel import is_writer, joined, known_to_all
from cnn_jax.paths import local_path
from cnn_jax.runs.compare import default_directory
from cnn_jax.runs.console.pictures import draw_curves
from cnn_jax.runs.console.signals import StopSignals
from cnn_jax.runs.content import content_of, weights_of
from cnn_jax.runs.derive import resolve_batch_norm, resolve_classes
from cnn_jax.runs.events import Event, Finished, Result
from cnn_jax.runs.folder.lock import check_free, only_training
from cnn_jax.runs.folder.paths import check_path
from cnn_jax.runs.folder.run import Run, take_run
from cnn_jax.runs.loop import DivergedError, run_events
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.machine.together import by_process_0, check_alike
from cnn_jax.runs.parts import resolve_parts
from cnn_jax.runs.session import open_session
from cnn_jax.runs.start.continuing import find_parent
from cnn_jax.runs.start.initial_state import resolve_weights


def train(
    config: Config, workdir: Path | str | None = None, *, profile: bool = False, parent: str | None = None
) -> Result:
    """Trains an experiment to its end, continuing where the folder's newest checkpoint stands.

    Args:
      workdir: the run folder; None is one below `runs/`, called by `config.name`, or the data set and the model, and
        by the identity.
      profile: write a trace of ten steps, for Perfetto or xprof, into the folder's `profile/`.
      parent: RUN or RUN@STEP: a new run begins from the whole state of that one, at its step, with the schedules of
        this configuration. Where nothing else differs it is, to the bit, the other run uninterrupted.

    Raises:
      ConfigError: when the configuration contradicts itself, or the folder holds another experiment.
      RunError: when another process writes to the folder, it was removed meanwhile, its metrics are damaged beyond
        repair, or it was trained and its checkpoints are gone.
      DataError: when the data set is not prepared.
      CheckpointError: when the newest checkpoint cannot be used and is not proved to be damaged, when none can be
        used, or when one cannot be saved.
      DivergedError: when the loss or the state is no longer finite; the checkpoints before stay.
      Stopped: on SIGTERM, SIGINT, SIGHUP or SIGUSR1, to this process or to another of the run, after a checkpoint, or
        before there is anything to save.
      PeerError: when another process of the run dies.
    """
    *_, last = _events(config, workdir, quiet=False, profile=profile, parent=parent, watched=False)
    assert isinstance(last, Finished)
    return last.result


def training_events(
    config: Config,
    workdir: Path | str | None = None,
    *,
    quiet: bool = True,
    profile: bool = False,
    parent: str | None = None,
) -> Generator[Event, None, None]:
    """As `train`, watched: what happens, as it happens; the last event is `Finished`.

    Watching changes nothing of the run. Closing it ends the run as a signal would: a checkpoint is saved, and the same
    call continues from there. (Python closes it where a loop over it is left; after an exception only once that is
    forgotten, so that a loop which may raise stands in `contextlib.closing`.)

    Args:
      quiet: show no progress on standard error.

    Example:
      for event in training_events(config):
          if isinstance(event, Logged) and event.split == "validation":
              print(event.step, event.values["top1"])
    """
    yield from _events(config, workdir, quiet=quiet, profile=profile, parent=parent, watched=True)


def _events(
    config: Config, workdir: Path | str | None, *, quiet: bool, profile: bool, parent: str | None, watched: bool
) -> Generator[Event, None, None]:
    config, parallel = check_types(config), config.parallel
    workdir = None if workdir is None else local_path(workdir, "--workdir")
    join = joined(parallel.distributed, parallel.coordinator, parallel.num_processes, parallel.process_id)
    own_folder = None if config.code is None else config.code.folder
    with only_training(), join, StopSignals() as stop, precision(config.model.dtype), neighbours(own_folder):
        stop.at_once = jax.process_count() == 1  # one of several would leave the others waiting
        stop.end_if_asked()
        config = resolve_weights(resolve_batch_norm(resolve_parts(config), num_devices=jax.device_count()))
        check_path(Path("runs" if workdir is None else workdir))
        if workdir is not None and not parallel.distributed:
            check_free(workdir)
        session = open_session(config)
        old_name = identity_0_1(flatten(config))
        config = resolve_classes(config, session.info.num_classes)
        session = dataclasses.replace(session, config=config)
        # What is kept of a data set after it was read through is there for the others, which wait.
        weights = weights_of(config)
        content = by_process_0(lambda: content_of(config, weights)) or content_of(config, weights)
        if parent is not None:
            content = dataclasses.replace(content, parent=find_parent(parent, session, workdir))
        check_alike(content.identity(config))
        if workdir is None:
            here = Run(Path("runs"), config, session.derived, {}, content)
            found = known_to_all(by_process_0(lambda: str(default_directory(here, old_name))))
            workdir = Path(str(found))
            check_path(workdir)
        stop.end_if_asked()
        with contextlib.closing(take_run(workdir, config, session.derived, content, session.info)) as writer:
            try:
                yield from run_events(session, writer, stop, quiet=quiet, profile=profile, watched=watched)
            except DivergedError:
                if is_writer():
                    draw_curves(workdir)
                raise
