"""Training leaves the process's logging as it was."""

import logging
import subprocess
import sys

import orbax.checkpoint as ocp
import pytest
from absl import logging as absl_logging

from cnn_jax.config import ConfigError
from cnn_jax.runs.folder.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder.orbax_logs import OrbaxLogs


def orbax_says(level):
    error = (OSError, OSError("full"), None)
    record = logging.LogRecord("absl", level, "/site-packages/orbax/checkpoint/x.py", 1, "not saved", None, error)
    return logging.getLogger("absl").filter(record) and logging.Formatter().format(record)


@pytest.mark.slow
def test_importing_and_preparing_leave_logging_as_it_was(tmp_path):
    program = "import logging, sys, cnn_jax.runs.loop; from cnn_jax.data import load_dataset;"
    program += "load_dataset('digits', 'train', root=sys.argv[1]); assert not logging.root.handlers"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_orbax_is_heard_from_errors_on_and_others_always(monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a user's program; pytest has added its own
    monkeypatch.setattr(logging.getLogger("absl"), "filters", [])  # whatever is still open
    logs = OrbaxLogs()
    assert not orbax_says(logging.WARNING)
    assert orbax_says(logging.ERROR) == "not saved"
    mine = logging.LogRecord("absl", logging.INFO, "/home/me/x.py", 1, "mine", None, None)
    assert logging.getLogger("absl").filter(mine)
    logs.close()
    assert orbax_says(logging.WARNING)


def test_handlers_and_level_are_the_users(monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a user's program; pytest has added its own
    absl = logging.getLogger("absl")
    before = absl.level, list(absl.filters)
    first, second = OrbaxLogs(), OrbaxLogs()
    absl_logging.debug("sets up logging when it first speaks, unless it is")
    first.close()
    second.close()
    assert logging.root.handlers == []
    assert (absl.level, list(absl.filters)) == before


def test_a_folder_that_is_refused_leaves_no_trace(tmp_path, monkeypatch):
    before = (list(logging.getLogger("absl").filters), list(logging.root.handlers))
    with pytest.raises(ConfigError, match="otherwise than the file system"):
        Checkpoints(tmp_path / "a[b]")
    monkeypatch.setattr(ocp, "CheckpointManager", lambda *_, **__: (_ for _ in ()).throw(OSError("stale handle")))
    with pytest.raises(CheckpointError, match="cannot be read: stale handle"):
        Checkpoints(tmp_path / "checkpoints")
    assert (list(logging.getLogger("absl").filters), list(logging.root.handlers)) == before


@pytest.mark.parametrize("how", ["a failed save", "an error in closing"])
def test_every_close_leaves_logging_as_it_was(tmp_path, monkeypatch, how):
    before = (list(logging.getLogger("absl").filters), list(logging.root.handlers))
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    manager = checkpoints._manager
    if how == "a failed save":
        checkpoints._failed = True
        checkpoints.close()
    else:
        monkeypatch.setattr(checkpoints, "wait", lambda: (_ for _ in ()).throw(CheckpointError("full")))
        with pytest.raises(CheckpointError, match="full"):
            checkpoints.close()
    assert (list(logging.getLogger("absl").filters), list(logging.root.handlers)) == before
    manager.close()
