"""Paths as people write them: `~` is their home, and what is no place on this machine is refused before any work."""

import os
import re
from pathlib import Path

# `gs://bucket`, and what pathlib makes of it, `gs:/bucket`; one letter is a drive.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def cache_folder() -> Path:
    """What this package keeps for a user between commands: data sets, weights."""
    return local_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "$XDG_CACHE_HOME") / "cnn_jax"


class PathError(ValueError):
    """A path that cannot be used: the message names what it was given for, and what to give."""

    exit_status = 2


def local_path(path: str | os.PathLike[str], what: str, *, utf8: bool = True) -> Path:
    """The path with the user's home in place of `~`.

    Args:
      what: the flag or key that it was given for, for the message.
      utf8: refuse a name that is not UTF-8, which the libraries that write arrays do not take.

    Raises:
      PathError: for a URL, for a name that is not UTF-8, and where `~` stands for no home.
    """
    text = os.fspath(path)
    if _URL.match(text):
        raise PathError(
            f"`{what}` is {text}, a URL; give a path of this machine's file system (a bucket can be mounted there)."
        )
    if utf8 and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise PathError(f"`{what}` is {os.fsencode(text)!r}, which is no UTF-8; give a path that is.")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise PathError(f"`{what}` is {text}: {error} Write the path out, or set $HOME.") from error
