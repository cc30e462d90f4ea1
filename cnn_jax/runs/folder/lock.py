"""One writer: of a run folder among all processes, and one training at a time in a process."""

import contextlib
import fcntl
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.data.store.lock_file import lock, open_lock
from cnn_jax.runs.folder.stored import RunError

_TRAINING = threading.Lock()

# `cnn-jax runs` holds a folder for a moment, to see whether another does.
_TRIES, _PAUSE_SECONDS = 10, 0.1


@contextlib.contextmanager
def only_training() -> Iterator[None]:
    """A context in which no other training runs in this process: precision, devices and signals belong to all of it.

    Raises:
      RunError: when there is one.
    """
    if not _TRAINING.acquire(blocking=False):
        raise RunError("another training runs in this process; wait for its end, or start this one as a process.")
    try:
        yield
    finally:
        _TRAINING.release()


class FolderLock:
    """A folder held for writing, through itself and through a file `.lock` in it.

    The folder's own lock does not vanish with a file that somebody tidies away; network file systems may lock files
    only.
    """

    def __init__(self, directory: Path) -> None:
        """Takes the folder.

        Raises:
          RunError: when another process, or another thread, writes there, or `.lock` is no file.
        """
        self._directory = directory
        self._file: int | None = None
        self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            held = self._take(directory / ".lock")
        except BaseException:
            self.release()
            raise
        if True not in held:
            warnings.warn(
                f"the file system of `{directory}` has no locks, so nothing keeps a second process from writing there: "
                "start only one training in it, or give a --workdir on another file system.",
                stacklevel=2,
            )
        self._by_file_only = held[0] is None and True in held

    def _take(self, path: Path) -> list[bool | None]:
        """Locks the folder, then the file in it: of two that begin at once, the one that has the folder goes on."""
        held = [_lock_soon(self._folder, path.parent)]
        try:
            self._file = open_lock(path)
        except OSError as error:
            raise RunError(
                f"`{path}` cannot be opened ({error.strerror}); it is a file that cnn_jax makes: remove it."
            ) from error
        return held if self._file is None else [*held, _lock_soon(self._file, path.parent)]

    def check(self) -> None:
        """Finds out whether the folder is still the one that was taken, and still held.

        Raises:
          RunError: when it was removed or replaced.
        """
        if not _is_same(self._directory, self._folder):
            raise RunError(f"`{self._directory}` was removed or replaced while it was written; training ends here.")
        lock_file = self._directory / ".lock"
        if self._by_file_only and self._file is not None and not _is_same(lock_file, self._file):
            raise RunError(f"`{lock_file}` was removed, so another process may write there; training ends here.")

    def release(self) -> None:
        """Gives the folder up."""
        for descriptor in (self._folder, self._file):
            if descriptor is not None:
                os.close(descriptor)


def _lock_soon(descriptor: int, directory: Path) -> bool | None:
    """True when the lock is held, None where there are no locks.

    Raises:
      RunError: when another holder keeps it.
    """
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        held = lock(descriptor, wait=False)
        if held is not False:
            return held
    raise _held_by_another(directory)


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def check_free(directory: Path) -> None:
    """Refuses a folder that another process writes to, before anything is made ready for it.

    Raises:
      RunError: when another process of this host writes there.
    """
    if is_locked(directory):
        raise _held_by_another(directory)


def _held_by_another(directory: Path) -> RunError:
    return RunError(f"`{directory}` is being written by another process; wait for it, or give another --workdir.")


def is_locked(directory: Path) -> bool:
    """Whether a process of this host writes to a run: it holds a lock on the folder, or on the file in it."""
    return _is_held(directory) or _is_held(directory / ".lock")


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given up at once, by closing
        return False
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
