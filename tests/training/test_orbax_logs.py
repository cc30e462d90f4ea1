"""Training leaves the process's logging as it was."""

import logging

from absl import logging as absl_logging

from cnn_jax.training.orbax_logs import OrbaxLogs


def orbax_says(level):
    record = logging.LogRecord("absl", level, "/site-packages/orbax/checkpoint/x.py", 1, "saved", None, None)
    return logging.getLogger("absl").filter(record)


def test_orbax_is_heard_from_errors_on_and_others_always(monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a user's program; pytest has added its own
    logs = OrbaxLogs()
    assert not orbax_says(logging.WARNING)
    assert orbax_says(logging.ERROR)
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
