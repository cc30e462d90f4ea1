"""Official archives in a folder that the user names: found, and compared with the published checksums."""

import hashlib
import logging
from pathlib import Path

import numpy as np

from .checksums import ARCHIVES, CONTENTS
from .errors import DataError

logger = logging.getLogger(__name__)


def need_source(source: Path | None, name: str) -> Path:
    """The folder of archives, or a message that says how to name one."""
    if source is None:
        raise DataError(
            f"{name} is read from its official archives; name their folder: `cnn-jax data prepare {name} --source DIR`."
        )
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; `--source` names the folder that holds the archives of {name}.")
    return source


def find_archive(source: Path, *names: str) -> Path:
    """The first of `names` that exists in `source`; the later names are other spellings of the same archive."""
    for name in names:
        if (source / name).is_file():
            return source / name
    raise DataError(
        f"{source} does not hold {' or '.join(names)}; name the folder of the official archives with --source."
    )


def check_official(name: str, path: Path, content: np.ndarray | None = None) -> bool:
    """Compare an archive of the set `name` with its published checksum; log a note where it differs, and return
    whether it agrees.

    An archive may be packed anew and still hold the right content, so a difference is no error: the readers check what
    they read.

    Args:
        content: what was unpacked; it identifies a repacked archive where the content's checksum is known.
    """
    expected = ARCHIVES.get(name, {}).get(path.name)
    if expected:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == expected:
                return True
    known_content = CONTENTS.get(name, {}).get(path.name.removesuffix(".gz"))
    if content is not None and hashlib.sha256(np.ascontiguousarray(content)).hexdigest() == known_content:
        logger.warning("note: %s is packed anew, with the official content", path)
        return True
    logger.warning("note: %s is not the official archive of %s (its SHA-256 differs)", path, name)
    return False
