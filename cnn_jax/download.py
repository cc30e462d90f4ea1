"""A published file onto this machine: what broke off goes on, and only what has its checksum gets its name."""

import hashlib
import http
import http.client
import os
import shutil
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_SECONDS = (
    1.5  # a host that does not answer in this time is taken as out of reach, so that the user is not kept waiting
)
_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 1 << 31  # of a file whose size is not known; the largest of ours has 0.6 GB

Report = Callable[[str, int, int], None]


class DownloadError(RuntimeError):
    """A file that cannot be had, or is another than was published."""


@dataclass(frozen=True)
class PublishedFile:
    """Where a file is, and how it is recognised.

    Attributes:
      sha256: in hexadecimal digits; or the first of them, where no more are known.
      num_bytes: None where it is not known.
    """

    url: str
    num_bytes: int | None
    sha256: str


def download(file: PublishedFile, path: Path, report: Report | None = None) -> None:
    """Fetches a file, from where an earlier attempt broke off if the host can.

    Args:
      path: where it goes once it is whole and right; until then it is called PATH.part.
      report: is called as report(name, bytes fetched, bytes in the file) now and then.

    Raises:
      DownloadError: without a network, within two seconds; when the connection breaks off, which can be gone on from;
        or when the file is another than was published.
    """
    if not _answers(file.url):
        raise DownloadError(f"{file.url} cannot be reached")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    try:
        _append(file, part, lambda done, total: report(path.name, done, total) if report else None)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"{file.url} broke off after {_size(part):,} bytes ({error}); try again") from error
    _take(file, part, path, file.url)


def copy_published(file: PublishedFile, source: Path, path: Path) -> None:
    """Takes a file from a folder of this machine in place of its host.

    Raises:
      DownloadError: when it is another than was published.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    shutil.copyfile(source, part)
    _take(file, part, path, str(source))


def is_published(file: PublishedFile, path: Path) -> bool:
    """Whether a file is there, and is the published one as far as its checksum is known."""
    return path.is_file() and _digest(path).startswith(file.sha256)


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _take(file: PublishedFile, part: Path, path: Path, source: str) -> None:
    digest, found = _digest(part), _size(part)
    if not digest.startswith(file.sha256):
        part.unlink()
        size = "" if file.num_bytes is None else f"{file.num_bytes:,} bytes with "
        digits = file.sha256 if len(file.sha256) == len(digest) else f"one that begins with {file.sha256}"
        raise DownloadError(
            f"{source} is not what was published: {found:,} bytes with the SHA-256 {digest}, expected {size}{digits}"
        )
    os.replace(part, path)


def _append(file: PublishedFile, part: Path, report: Callable[[int, int], None]) -> None:
    """Fetches what the part does not hold yet."""
    done = _size(part)
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return  # there is no more: the checksum says whether it is the file
        raise
    with response:
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        done = done if goes_on else 0
        length = response.headers.get("Content-Length")
        total = file.num_bytes if length is None else done + int(length)
        with part.open("ab" if goes_on else "wb") as out:
            while chunk := response.read(_CHUNK_BYTES):
                out.write(chunk)
                done += len(chunk)
                report(done, total or done)
                if done > (file.num_bytes or _MOST_BYTES):
                    return  # it is another file, and may have no end
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


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
