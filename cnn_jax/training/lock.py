"""One writer: of a run folder among all processes, and one training at a time in a process."""

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.data.store.lock_file import lock, open_lock
from cnn_jax.training.stored import RunError

_TRAINING = threading.Lock()


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
          RunError: when another process, or another thread, writes there.
        """
        self._directory = directory
        self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file = open_lock(directory / ".lock")
        open_ones = [descriptor for descriptor in (self._folder, self._file) if descriptor is not None]
        held = [lock(descriptor, wait=False) for descriptor in open_ones]
        if False in held:
            self.release()
            raise RunError(
                f"`{directory}` is being written by another process; wait for it, or give another --workdir."
            )
        if True not in held:
            warnings.warn(
                f"the file system of `{directory}` has no locks, so nothing keeps a second process from writing there: "
                "start only one training in it, or give a --workdir on another file system.",
                stacklevel=2,
            )
        self._by_file_only = held[0] is None and True in held

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


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
