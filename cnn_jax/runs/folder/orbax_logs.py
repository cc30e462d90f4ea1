"""Orbax, which reports every save at length, through absl."""

import contextlib
import logging
import os

from cnn_jax.logs import untouched_logging

with untouched_logging():  # it speaks as it is imported
    import orbax.checkpoint as ocp

__all__ = ["OrbaxLogs", "ocp"]

_ORBAX = f"{os.sep}orbax{os.sep}"


class OrbaxLogs:
    """While this is open, Orbax is heard from errors on, and absl finds logging set up; `close` takes both back.

    The level of absl's logger and the handlers of the root logger are the user's, and are as before then.
    """

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        logger = logging.getLogger("absl")
        logger.addFilter(self)
        self._open.callback(logger.removeFilter, self)
        self._open.enter_context(untouched_logging())

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is not Orbax's, or is an error: without its traceback, for it is raised here, too."""
        if _ORBAX not in record.pathname:
            return True
        record.exc_info = record.exc_text = None
        return record.levelno >= logging.ERROR

    def close(self) -> None:
        """Leaves the process's logging as it was found."""
        self._open.close()
