"""From official archives to a prepared set."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path

from .arrays import load_arrays
from .catalogue import known_set
from .store import data_root, find_prepared, write_set


def prepare(
    name: str,
    *,
    source: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Store the data set `name` below the root, from the official archives in `source`; nothing is done where it is
    prepared.

    Args:
        report: is called as report(split, examples written, examples in the split) now and then.

    Returns:
        The prepared folder, ROOT/NAME/VERSION.

    Raises:
        DataError: for an unknown name, a missing or damaged archive, or a root that cannot be written.
    """
    known, folder = known_set(name), data_root(root)
    prepared = find_prepared(folder, known.name)
    if prepared is None:
        archives = Path(source).expanduser() if source else None
        splits, extras = known.read(archives), known.extras(archives)
        prepared = write_set(folder, known.name, known.version, splits, known.class_names, extras=extras, report=report)
    load_arrays(prepared, "train")  # made now, the arrays need not be made at the first start of a training
    return prepared


def prepare_command(name: str, root: str | os.PathLike[str] | None = None) -> str:
    """The command line that prepares `name`, for messages."""
    where = f" --root {shlex.quote(str(root))}" if root else ""
    return f"cnn-jax data prepare {name} --source DIR{where}"
