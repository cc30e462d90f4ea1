"""Where prepared sets lie: TFDS array_record folders below a root, complete or absent."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cnn_jax.data.errors import DataError
from cnn_jax.data.store.lock_file import lock, open_lock
from cnn_jax.paths import cache_folder, local_path


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of prepared sets: `root` where given, else $CNN_JAX_DATA, else the user's cache folder."""
    if root:
        return local_path(root, "data.root")
    if from_environment := os.environ.get("CNN_JAX_DATA"):
        return local_path(from_environment, "$CNN_JAX_DATA")
    return cache_folder()


def find_prepared(root: Path, name: str) -> Path | None:
    """The folder of the newest prepared version of `name`, ROOT/NAME/VERSION, or None.

    TFDS writes dataset_info.json last and we rename the folder into place after that, so its presence means
    completeness.
    """
    found = [path.parent for path in (root / name).glob("*/dataset_info.json") if _version(path.parent.name)]
    return max(found, key=lambda folder: _version(folder.name) or (), default=None)


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    return tuple(map(int, parts)) if len(parts) == 3 and all(part.isdecimal() for part in parts) else None


@contextlib.contextmanager
def preparation(root: Path, name: str) -> Iterator[Path]:
    """A lock on the preparation of `name`, and an empty folder to do it in, on the same file system as the root.

    The lock belongs to the process, so a killed preparation frees it; what that one left behind is removed by the next.
    """
    work = root / f".preparing-{name.replace('/', '-')}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(work.with_suffix(".lock")):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DataError(
            f"cannot prepare {name} below {root}: {error}; {'free some space, or ' if full else ''}"
            "choose a folder that you can write to with $CNN_JAX_DATA, or with --root (of a training: --data.root)."
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits for the lock; where there can be none, two preparations at a time do the work twice."""
    descriptor = open_lock(path)
    try:
        if descriptor is not None:
            lock(descriptor, wait=True)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
