"""A run folder: its configuration, its metrics, its one writer."""

import dataclasses
import json
import platform
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from cnn_jax import config as configuration
from cnn_jax.config import Config, ConfigError
from cnn_jax.parallel import is_writer, known_to_all
from cnn_jax.training.derived import Derived
from cnn_jax.training.files import write_atomically
from cnn_jax.training.lock import FolderLock
from cnn_jax.training.manifest import Manifest
from cnn_jax.training.metrics_file import RunError as RunError
from cnn_jax.training.metrics_file import read_metrics as read_metrics
from cnn_jax.training.metrics_file import read_test_line
from cnn_jax.training.metrics_log import MetricsLog

_PACKAGES = ("cnn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class Run:
    """What `config.json` of a run folder holds."""

    directory: Path
    config: Config
    derived: Derived
    environment: dict[str, Any]

    @property
    def identity(self) -> str:
        """The name of the experiment."""
        return configuration.identity(self.config)

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints lie."""
        return self.directory / "checkpoints"


def read_run(directory: Path | str) -> Run:
    """Reads a run folder's `config.json`.

    Raises:
      RunError: when there is none, or it is not one that cnn_jax wrote.
    """
    directory = Path(directory)
    path = directory / "config.json"
    if not path.is_file():
        raise RunError(f"`{directory}` is not a run folder: it has no config.json. `cnn-jax train` makes one.")
    try:
        stored = json.loads(path.read_text())
        config = configuration.from_flat(stored["config"])
        return Run(directory, config, Derived(**stored["derived"]), stored["environment"])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"`{path}` cannot be read as a run's configuration: {error}") from error


def environment() -> dict[str, Any]:
    """Versions, git revision and devices: what may change the bits of a result without being part of the experiment."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    revision = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or None
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "git": revision,
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
    }


def open_run(directory: Path, config: Config, derived: Derived) -> "RunWriter":
    """Takes the folder for writing: a new one is made, one of the same identity is continued.

    Every process of a run checks the identity; process 0 alone locks the folder and writes to it.

    Raises:
      RunError: when another process writes there, or the folder holds another experiment (naming the difference).
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(directory) if is_writer() else None
    path = directory / "config.json"
    here = environment()
    if path.exists():
        before = read_run(directory)
        if configuration.identity(before.config) != configuration.identity(config):
            sides = (configuration.flatten(c, identity_only=True) for c in (before.config, config))
            rows = [f"  {k}: {a!r} there, {b!r} now" for k, (a, b) in configuration.difference(*sides).items()]
            raise ConfigError(f"`{directory}` holds another experiment; give another --workdir.\n" + "\n".join(rows))
        changed = configuration.difference(before.environment, here)
        if changed and lock is not None:
            rows = [f"{k} {a} → {b}" for k, (a, b) in changed.items()]
            warnings.warn(
                f"continuing in another environment, so bits may differ from here on: {', '.join(rows)}", stacklevel=2
            )
    if lock is not None:
        content = {
            "identity": configuration.identity(config),
            "config": configuration.flatten(config),
            "derived": dataclasses.asdict(derived),
            "environment": here,
        }
        text = json.dumps(content, indent=2) + "\n"
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text)
    return RunWriter(Run(directory, config, derived, here), lock)


class RunWriter:
    """The one writer of a run folder: appends metrics to `metrics.jsonl` and to the TensorBoard events.

    In the other processes of a run, which hold no lock, it writes nothing.
    """

    def __init__(self, run: Run, lock: FolderLock | None) -> None:
        self.run = run
        self._lock = lock
        self._log = MetricsLog(run.directory)

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
            if self._lock is not None:
                self._log.begin()
            return None
        test = None
        if self._lock is not None:
            test = self._log.resume(step, self.run.derived.steps, manifest.lines)
        if known_to_all(test is not None) and self._lock is None:
            test = read_test_line(self.run.directory)
        return test

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
        """Closes the files and releases the folder."""
        self._log.close()
        if self._lock is not None:
            self._lock.release()


def diff_runs(left: Path | str, right: Path | str) -> dict[str, list[Any]]:
    """What differs between two run folders, `{key: [left, right]}`; versions and devices as `environment.…`."""

    def flat(run: Run) -> dict[str, Any]:
        return configuration.flatten(run.config) | {f"environment.{k}": v for k, v in run.environment.items()}

    return configuration.difference(flat(read_run(left)), flat(read_run(right)))
