"""Official archives in a folder that the user names: found, opened, and compared with the published checksums."""

import contextlib
import hashlib
import logging
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.checksums import CONTENTS, official_archives

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


@contextlib.contextmanager
def open_member(source: Path, archive: str, member: str) -> Iterator[IO[bytes]]:
    """Open one file of a tar or zip archive in `source`, or the file itself where the archive has been unpacked there.

    Raises:
      DataError: where neither exists, or the archive is damaged or cut short (as long as the file is open, too).
    """
    for unpacked in (source / member, source / Path(member).name):
        if unpacked.is_file():
            with unpacked.open("rb") as file:
                yield file
            return
    path = find_archive(source, archive, member)
    with readable(path):
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as packed, packed.open(member) as file:
                yield file
        else:
            with tarfile.open(path) as tar, _extract(tar, member) as file:
                yield file


def _extract(packed: tarfile.TarFile, member: str) -> IO[bytes]:
    for entry in packed:  # names may begin with "./"
        if entry.isfile() and entry.name.removeprefix("./") == member:
            file = packed.extractfile(entry)
            assert file is not None  # for a regular file it never is
            return file
    raise KeyError(f"there is no {member} in it")


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say which archive it was that turned out to be damaged."""
    try:
        yield
    except (OSError, EOFError, KeyError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut short ({error}); fetch it again.") from error


def check_official(name: str, path: Path, content: np.ndarray | None = None) -> bool:
    """Whether an archive of the set `name` is the official one; a note is logged where it is not.

    An archive may be packed anew and still hold the right content, so a difference is no error: the readers check what
    they read.

    Args:
      content: what was unpacked; it identifies a repacked archive where the content's checksum is known.
    """
    expected = official_archives(name).get(path.name)
    if expected:
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == expected.sha256:
                return True
    known_content = CONTENTS.get(name, {}).get(path.name.removesuffix(".gz"))
    if content is not None and hashlib.sha256(np.ascontiguousarray(content)).hexdigest() == known_content:
        logger.warning("note: %s is packed anew, with the official content", path)
        return True
    logger.warning("note: %s is not the official archive of %s (its SHA-256 differs)", path, name)
    return False


def check_archive(name: str, source: Path, archive: str) -> None:
    """`check_official`, where the archive is there at all and has not been unpacked."""
    if (source / archive).is_file():
        check_official(name, source / archive)
    else:
        logger.warning("note: %s is read unpacked, so its SHA-256 cannot be compared", archive)
