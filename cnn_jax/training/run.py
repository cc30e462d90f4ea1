"""A run folder: its configuration and identity, its metrics, its one writer."""

import dataclasses
import fcntl
import json
import math
import os
import platform
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import jax

from cnn_jax import config as configuration
from cnn_jax.config import Config, ConfigError
from cnn_jax.parallel import is_writer
from cnn_jax.training.compare import differences
from cnn_jax.training.content import NOTHING, Content
from cnn_jax.training.derived import Derived
from cnn_jax.training.events import EventWriter, truncate_events
from cnn_jax.training.stored import SCHEMA
from cnn_jax.training.stored import Run as Run
from cnn_jax.training.stored import RunError as RunError
from cnn_jax.training.stored import read_run as read_run

_PACKAGES = ("cnn-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


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


def open_run(directory: Path, config: Config, derived: Derived, content: Content = NOTHING) -> "RunWriter":
    """Takes the folder for writing: a new one is made, one of the same identity is continued.

    Every process of a run checks the identity; process 0 alone locks the folder and writes to it. In a folder that is
    there, nothing is changed before `RunWriter.write_config`.

    Raises:
      RunError: when another process writes there, or its `config.json` was changed.
      ConfigError: when the folder holds another experiment (naming the difference).
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = _lock(directory) if is_writer() else None
    run = Run(directory, config, derived, environment(), content)
    if not (directory / "config.json").exists():
        writer = RunWriter(run, lock)
        writer.write_config()
        return writer
    before = read_run(directory)
    if rows := differences(before, run):
        raise ConfigError(f"`{directory}` holds another experiment; give another --workdir.\n" + "\n".join(rows))
    changed = configuration.difference(before.environment, run.environment)
    if changed and lock is not None:
        values = [f"{k} {a} → {b}" for k, (a, b) in changed.items()]
        warnings.warn(
            f"continuing in another environment, so bits may differ from here on: {', '.join(values)}", stacklevel=2
        )
    return RunWriter(dataclasses.replace(run, record=before.record), lock, upgrades=before.schema != SCHEMA)


def _lock(directory: Path) -> IO[str]:
    lock = (directory / ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise RunError(
            f"`{directory}` is being written by another process; wait for it, or give another --workdir."
        ) from None
    return lock


class RunWriter:
    """The one writer of a run folder: appends metrics to `metrics.jsonl` and to the TensorBoard events.

    In the other processes of a run, which hold no lock, it writes nothing.
    """

    def __init__(self, run: Run, lock: IO[str] | None, *, upgrades: bool = False) -> None:
        self.run = run
        self._lock = lock
        self._upgrades = upgrades
        self._metrics_path = run.directory / "metrics.jsonl"

    def write_config(self) -> None:
        """Writes `config.json`, and one's own code beside it; a folder of version 0.1 becomes one of this version."""
        if self._lock is None:
            return
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
            "record": run.record,
            "environment": run.environment,
        }
        _write_atomically(run.directory / "config.json", json.dumps(content, indent=2) + "\n")
        for file in () if run.config.code is None else run.config.code.files:
            copy = run.directory / "code" / file.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.content)

    def start(self, step: int) -> None:
        """Cuts the metrics back to a step, that of the checkpoint restored, and opens them for appending."""
        if self._lock is None:
            return
        kept = [line for line in read_metrics(self.run.directory) if line["step"] <= step]
        _write_atomically(self._metrics_path, "".join(json.dumps(line) + "\n" for line in kept))
        truncate_events(self.run.directory, step)
        self._metrics = self._metrics_path.open("a")
        self._events = EventWriter(self.run.directory)

    def write(self, step: int, split: str, values: Mapping[str, Any]) -> None:
        """Appends one line; nested values (per class) go to `metrics.jsonl` only, and NaN goes there as null."""
        if self._lock is None:
            return
        line = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
        self._metrics.write(json.dumps({"step": step, "split": split, **line}) + "\n")
        self._metrics.flush()
        self._events.write_scalars(step, {f"{split}/{k}": v for k, v in values.items() if isinstance(v, (int, float))})
        self._events.flush()

    def list_skipped(self, files: Sequence[str]) -> Path:
        """Lists the data set's files that could not be used in the folder's `skipped.txt`, one a line."""
        path = self.run.directory / "skipped.txt"
        if self._lock is not None:
            _write_atomically(path, "".join(f"{file}\n" for file in files))
        return path

    def close(self) -> None:
        """Closes the files and releases the folder."""
        if hasattr(self, "_metrics"):
            self._metrics.close()
            self._events.close()
        if self._lock is not None:
            self._lock.close()


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; a last line cut short by a kill is left out."""
    path = directory / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]  # what follows the last newline is a line cut short
    return [json.loads(line) for line in lines]


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def diff_runs(left: Path | str, right: Path | str) -> dict[str, list[Any]]:
    """What differs between two run folders, `{key: [left, right]}`, by keys and by content.

    Files of one's own code are called `code: file …`, parts of the data set `data: …`, versions and devices
    `environment.…`.
    """

    def flat(run: Run) -> dict[str, Any]:
        return configuration.flatten(run.config) | {f"environment.{k}": v for k, v in run.environment.items()}

    there, here = read_run(left), read_run(right)
    return configuration.difference(flat(there), flat(here)) | there.content.difference(here.content)
