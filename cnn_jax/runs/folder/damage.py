"""Why a checkpoint cannot be used: each cause has a class and a sentence of its own, for only one of them is damage."""

import errno
import functools
import gc
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path


class CheckpointError(RuntimeError):
    """A checkpoint, or all of them, cannot be used: the message says which, why, and what to do."""


class DamagedError(CheckpointError):
    """Its bytes are not the ones that were saved: a checksum, or bytes that nothing can decode, prove it."""


class UnreadableError(CheckpointError):
    """The disk, its permissions or the memory did not let it be read; the bytes may be whole."""


class ForeignError(CheckpointError):
    """It was saved at another step, or by another experiment."""


class StructureError(CheckpointError):
    """It holds other arrays than the run: other names, shapes or dtypes."""


# What TensorStore calls failures that say nothing about the bytes.
_PASSING = ("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "ABORTED")


def diagnose(folder: Path, error: BaseException) -> CheckpointError:
    """What an exception of Orbax, TensorStore or JSON while reading `folder` amounts to.

    They raise their own kinds for damaged bytes, so what is no failure of the disk is taken for damage only after every
    file in the folder has been read to its end.
    """
    silence_echoes()
    for cause in _chain(error):
        # Libraries raise OSError of their own, without a number, and for files that are missing.
        if isinstance(cause, OSError) and cause.errno not in (None, errno.ENOENT):
            return unreadable(Path(cause.filename) if isinstance(cause.filename, str) else folder, cause)
        codes = [int(code) for code in re.findall(r"OS error (\d+)", str(cause))]
        passing = any(word in str(cause) for word in _PASSING) or any(code != errno.ENOENT for code in codes)
        if passing or isinstance(cause, MemoryError):
            return unreadable(folder, cause)
    try:
        for path in _files(folder):
            with path.open("rb") as file:
                while file.read(1 << 24):
                    pass
    except OSError as unread:
        return unreadable(Path(unread.filename or folder), unread)
    return DamagedError(f"{named(folder)} is damaged: its files can be read and not decoded ({first_line(error)}).")


def unreadable(path: Path, error: BaseException) -> UnreadableError:
    """The sentence for a file that the disk does not give."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)
    return UnreadableError(
        f"{path} cannot be read: {reason}. That proves no damage, so nothing was changed; mend the cause (permissions, "
        "the mount, memory), and the same command continues."
    )


def named(folder: Path) -> str:
    """A checkpoint in messages."""
    return f"checkpoint {folder.name} in {folder.parent}"


def first_line(error: BaseException) -> str:
    """The start of an exception's message, or its kind where it has none."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.split(". See full TensorStore")[0][:300]


@functools.cache
def silence_echoes() -> None:
    """Keeps Orbax from printing tracebacks after a failed read: of coroutines and callbacks that it left behind."""
    for name in ("asyncio", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    before = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        files = [frame.filename for frame in traceback.extract_tb(unraisable.exc_traceback)]
        if not any(part in file for file in files for part in ("orbax", "asyncio", "tensorstore")):
            before(unraisable)

    sys.unraisablehook = hook
    gc.collect()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for part in error.exceptions:
                yield from _chain(part)
        error = error.__cause__ or error.__context__


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for parent, _, names in os.walk(folder, onerror=fail):
        yield from (Path(parent) / name for name in names)
