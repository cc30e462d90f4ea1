"""Libraries that speak through absl (TFDS, Orbax): when one first does, absl sets up the whole process's logging."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def untouched_logging() -> Iterator[None]:
    """Inside it, absl finds logging set up; the handlers of the root logger are the user's, and as before after it."""
    if logging.root.handlers:
        yield
        return
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)  # as Python shows messages by itself
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
