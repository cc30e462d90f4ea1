"""Official archives from where they are published, each compared with its checksum before it gets its name."""

import hashlib
import os
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.checksums import Archive, official_archives

_PATIENCE_SECONDS = (
    1.5  # a host that does not answer in this time is taken as out of reach, so that the user is not kept waiting
)
_CHUNK_BYTES = 1 << 20


def fetch_archives(
    name: str, files: Sequence[str], folder: Path, report: Callable[[str, int, int], None] | None = None
) -> Path:
    """Download the archives `files` of the set `name` into `folder`; what is there already stays.

    Args:
      report: is called as report(file, bytes fetched, bytes in the file) now and then.

    Raises:
      DataError: without a network, within two seconds; or where an archive is not what its publisher announced.
    """
    known = official_archives(name)
    for file in files:
        if not (folder / file).exists():
            _fetch(name, known[file], folder / file, report)
    return folder


def _fetch(name: str, archive: Archive, path: Path, report: Callable[[str, int, int], None] | None) -> None:
    offline = f"fetch it elsewhere and name its folder: `cnn-jax data prepare {name} --source DIR`."
    if not _answers(archive.url):
        raise DataError(f"{archive.url} cannot be reached; {offline}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part, digest, done = path.with_name(path.name + ".part"), hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(archive.url, timeout=60) as response, part.open("wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if report:
                    report(path.name, done, archive.num_bytes)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(f"{archive.url} broke off after {done:,} bytes ({error}); try again, or {offline}") from error
    if digest.hexdigest() != archive.sha256:
        raise DataError(
            f"{archive.url} is not what was published: {done:,} bytes with the SHA-256 {digest.hexdigest()}, expected "
            f"{archive.num_bytes:,} with {archive.sha256}; {offline}"
        )
    os.replace(part, path)


def _answers(url: str) -> bool:
    """Whether the host accepts a connection soon. Name resolution has no time limit of its own, hence the thread."""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((parts.hostname or "", port), timeout=_PATIENCE_SECONDS).close()
            answered.set()
        except OSError:
            return

    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    return answered.is_set()
