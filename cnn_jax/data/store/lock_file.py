"""A lock on a file, which the kernel gives up when the process ends, whoever made the file."""

import errno
import fcntl
import os
from pathlib import Path

# What a file system says that has no such locks, as some network mounts.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EISDIR)


def open_lock(path: Path) -> int | None:
    """A descriptor of a lock file, made where it is missing; None where it can be neither made nor opened.

    One that another user left may be read only: that is enough for a lock.
    """
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        try:
            return os.open(path, flags | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
                raise
    return None


def lock(descriptor: int, *, wait: bool) -> bool | None:
    """Takes the lock: True when it is held, False when another holder has it, None where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True
