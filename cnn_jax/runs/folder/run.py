"""A run folder: its configuration and identity, its metrics, its one writer."""

import contextlib
import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax import config as configuration
from cnn_jax.config import Config, ConfigError
from cnn_jax.data import DatasetInfo
from cnn_jax.parallel import known_to_all
from cnn_jax.runs.compare import differences
from cnn_jax.runs.console.markdown import markdown_table
from cnn_jax.runs.content import NOTHING, Content
from cnn_jax.runs.derive import Derived
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.lock import FolderLock
from cnn_jax.runs.folder.manifest import Manifest
from cnn_jax.runs.folder.metrics_file import read_metrics as read_metrics
from cnn_jax.runs.folder.metrics_log import MetricsLog
from cnn_jax.runs.folder.own_code import store_code
from cnn_jax.runs.folder.stored import SCHEMA, is_begun, to_json
from cnn_jax.runs.folder.stored import Run as Run
from cnn_jax.runs.folder.stored import RunError as RunError
from cnn_jax.runs.folder.stored import read_run as read_run
from cnn_jax.runs.machine.environment import environment as environment
from cnn_jax.runs.machine.environment import flat_environment
from cnn_jax.runs.machine.together import by_process_0


def take_run(
    directory: Path, config: Config, derived: Derived, content: Content = NOTHING, info: DatasetInfo | None = None
) -> "RunWriter":
    """Takes the folder for writing: a new one is made, one of the same identity is continued.

    Process 0 alone looks at the folder, locks it and writes to it; the others do as it does. In a folder that is there,
    nothing is changed before `RunWriter.write_config`.

    Raises:
      RunError: when another process writes there, or its `config.json` was changed, or is gone.
      ConfigError: when the folder holds another experiment (naming the difference).
    """
    folder = None if config.code is None else config.code.folder
    here = environment(folder, deterministic=config.train.deterministic)
    run = Run(directory, config, derived, here, content, info=info)
    return by_process_0(lambda: _take(run)) or RunWriter(run, None)


def _take(run: Run) -> "RunWriter":
    try:
        run.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"`{run.directory}` cannot be made a run folder ({error.strerror or error}); give another --workdir."
        ) from error
    lock = FolderLock(run.directory)
    try:
        return _writer(run, lock)
    except BaseException:
        lock.release()
        raise


def _writer(run: Run, lock: FolderLock) -> "RunWriter":
    if not is_begun(run.directory):
        writer = RunWriter(run, lock)
        writer.write_config()
        return writer
    before = read_run(run.directory)
    if rows := differences(before, run):
        raise ConfigError(
            f"`{run.directory}` holds another experiment; give another --workdir, or none for a new folder.\n"
            + "\n".join(rows)
        )
    here = run.environment
    run = dataclasses.replace(run, record=before.record, environment=before.environment)
    return RunWriter(run, lock, here=here, upgrades=before.schema != SCHEMA)


class RunWriter:
    """The one writer of a run folder: appends metrics to `metrics.jsonl` and to the TensorBoard events.

    In the other processes of a run, which hold no lock, it writes nothing.
    """

    def __init__(
        self, run: Run, lock: FolderLock | None, *, here: dict[str, Any] | None = None, upgrades: bool = False
    ) -> None:
        self.run = run
        self.here = run.environment if here is None else here
        """The environment of this start; the run's own is that of the last one, until this one computes a step."""
        self._lock = lock
        self._upgrades = upgrades
        self._log = MetricsLog(run.directory, _table(run))

    def write_config(self) -> None:
        """Writes `config.json`, and one's own code beside it; a folder of version 0.1 becomes one of this version."""
        if self._lock is None:
            return
        self._lock.check()
        run = self.run
        if self._upgrades:
            warnings.warn(
                f"`{run.directory}` was made by version 0.1, which kept neither one's own code nor what data and "
                "starting weights held: they are taken as they are now, and stored",
                stacklevel=2,
            )
            self._upgrades = False
        content = {
            "schema": SCHEMA,
            "identity": run.identity,
            "config": configuration.flatten(run.config),
            "derived": dataclasses.asdict(run.derived),
            "data": run.content.data,
            "code": run.content.code,
            "weights": run.content.weights,
            "parent": None if run.content.parent is None else dataclasses.asdict(run.content.parent),
            "info": None if run.info is None else dataclasses.asdict(dataclasses.replace(run.info, skipped=())),
            "record": run.record,
            "environment": run.environment,
        }
        write_atomically(run.directory / "config.json", to_json(content))
        store_code(run)

    def start(self, step: int, manifest: Manifest | None) -> dict[str, Any] | None:
        """Brings the metrics back to a step, that of the checkpoint restored.

        Args:
          manifest: of that checkpoint; None where there is none, and the run begins.

        Returns:
          The values of the test line, where the run has one.

        Raises:
          RunError: when the metrics are damaged beyond repair, or the run was begun and its checkpoints are gone.
        """
        if manifest is None:
            by_process_0(self._log.begin)
            return None
        lines = manifest.lines
        return known_to_all(by_process_0(lambda: self._log.resume(step, self.run.derived.steps, lines)))

    @property
    def lines(self) -> tuple[int, int] | None:
        """How many lines of metrics there are, and their CRC-32; None in a process that does not write them."""
        return None if self._lock is None else self._log.lines

    def write(self, step: int, split: str, values: Mapping[str, Any]) -> None:
        """Appends one line; nested values (per class) go to `metrics.jsonl` only, and NaN goes there as null.

        Raises:
          RunError: when the folder was removed, or cannot be written.
        """
        if self._lock is not None:
            self._lock.check()
            self._log.write(step, split, values)

    def note_saved(self, step: int | None) -> None:
        """Notes that the checkpoint of a step is on disk; None is no step."""
        if self._lock is not None and step is not None:
            self._lock.check()
            self._log.note_saved(step)

    def list_skipped(self, files: Sequence[str]) -> Path:
        """Lists the data set's files that could not be used in the folder's `skipped.txt`, one a line."""
        path = self.run.directory / "skipped.txt"
        if self._lock is not None:
            write_atomically(path, "".join(f"{file}\n" for file in files))
        return path

    def close(self) -> None:
        """Closes the files and releases the folder, whatever comes."""
        with contextlib.ExitStack() as released:
            if self._lock is not None:
                released.callback(self._lock.release)
            self._log.close()


def _table(run: Run) -> str:
    """The configuration, and what follows from it, in Markdown."""
    values = configuration.flatten(run.config) | dataclasses.asdict(run.derived)
    return markdown_table(("key", "value"), [(key, repr(value)) for key, value in values.items()])


def diff_runs(left: Path | str, right: Path | str) -> dict[str, list[Any]]:
    """What differs between two run folders, `{key: [left, right]}`, by keys and by content.

    Files of one's own code are called `code: file …`, parts of the data set `data: …`, versions and devices
    `environment.…`.
    """

    def flat(run: Run) -> dict[str, Any]:
        environment = {f"environment.{k}": v for k, v in flat_environment(run.environment).items()}
        return configuration.flatten(run.config) | environment

    there, here = read_run(left), read_run(right)
    return configuration.difference(flat(there), flat(here)) | there.content.difference(here.content)
