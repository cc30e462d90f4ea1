"""Checksums of the files in a folder, noted when they are written and compared before they are used.

The records that TFDS stores carry checksums of their own; this is for what lies beside them.
"""

import functools
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

NOTE = "checksums.json"


def note_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write down the SHA-256 of files in `folder`, in the file NOTE beside them."""
    sums = {name: _digest(folder / name) for name in sorted(names)}
    (folder / NOTE).write_text(json.dumps(sums, indent=1))


def find_damage(folder: Path, names: Iterable[str] | None = None) -> Path | None:
    """The first file in `folder` that is missing or not as it was noted, or None.

    Where nothing is noted nothing is found. What did not change since this process compared it is not read again.

    Args:
      names: what to compare; None for all that is noted.
    """
    try:
        noted = json.loads((folder / NOTE).read_text())
        wanted = noted if names is None else {name: noted[name] for name in names}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return folder / NOTE
    for name, checksum in wanted.items():
        try:
            if _digest(folder / name) != checksum:
                return folder / name
        except OSError:
            return folder / name
    return None


def _digest(path: Path) -> str:
    state = os.stat(path)
    return _digest_of(str(path), state.st_ino, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of(path: str, inode: int, size: int, changed: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
