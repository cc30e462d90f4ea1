"""Files that are there whole, or as they were before, and say so themselves."""

import contextlib
import csv
import io
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from cnn_jax.config import ConfigError
from cnn_jax.paths import local_path


def json_crc32(content: dict[str, Any]) -> int:
    """The CRC-32 of what a JSON file holds, however it is laid out."""
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file in one piece: a kill or a full disk leaves the old one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextlib.contextmanager
def result_file(path: Path | str, flag: str) -> Iterator[IO[bytes]]:
    """A file to be filled while the context lasts, which then stands at `path`; after an error nothing has changed.

    It is made at once, so that hours of work do not end at a folder that is not there.

    Args:
      flag: that the path was given for, for the message.

    Raises:
      ConfigError: when it cannot be written.
    """
    path = local_path(path, flag, utf8=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")

    def refused(error: OSError) -> ConfigError:
        return ConfigError(f"`{flag}` {path} cannot be written: {error.strerror or error}.")

    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        file = temporary.open("wb")
    except OSError as error:
        raise refused(error) from error
    try:
        with file:
            yield file
        try:
            temporary.replace(path)
        except OSError as error:
            raise refused(error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def csv_rows(file: IO[bytes]) -> Iterator[Callable[[Iterable[Any]], Any]]:
    """A function that writes a row of comma-separated values into an open file, which stays its owner's to close."""
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="", write_through=True)
    yield csv.writer(text, lineterminator="\n").writerow
    text.detach()
