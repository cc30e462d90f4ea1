"""Orbax reports every save at length, through absl, which sets up the whole process's logging when it first speaks."""

import logging
import os

# Orbax speaks as it is imported; so it is imported here alone, and the handler that absl adds then is taken back.
_handlers = list(logging.root.handlers)
import orbax.checkpoint as ocp  # noqa: E402

logging.root.handlers[:] = _handlers

__all__ = ["OrbaxLogs", "ocp"]

_ORBAX = f"{os.sep}orbax{os.sep}"


class OrbaxLogs:
    """While this is open, Orbax is heard from errors on, and absl finds logging set up; `close` takes both back.

    The level of absl's logger and the handlers of the root logger are the user's, and are as before then.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("absl")
        self._logger.addFilter(self)
        self._handler: logging.Handler | None = None
        if not logging.root.handlers:  # or absl would call basicConfig, for good
            self._handler = logging.StreamHandler()
            self._handler.setLevel(logging.WARNING)  # as Python shows messages by itself
            self._handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
            logging.root.addHandler(self._handler)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is not Orbax's, or is an error."""
        return record.levelno >= logging.ERROR or _ORBAX not in record.pathname

    def close(self) -> None:
        """Leaves the process's logging as it was found."""
        self._logger.removeFilter(self)
        if self._handler is not None:
            logging.root.removeHandler(self._handler)
