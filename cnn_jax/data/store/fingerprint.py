"""What a prepared set holds, as digests: of each stored split over its labels and stored bytes, and of the class names.

Never over decoded pixels, which depend on the decoding library.  The digests are part of the identity of every run on
the set: what they are made of never changes.
"""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cnn_jax.data.errors import DataError
from cnn_jax.data.store.arrays import load_arrays
from cnn_jax.logs import untouched_logging

KEPT = "fingerprint.json"  # beside the records; made again when it is damaged, or the files have changed

Report = Callable[[str, int, int], None]

_CHUNK_BYTES = 1 << 22
_RECORDS = 64  # fetched at a time: image files are large
_QUIET_SECONDS = 1.0  # before the first word about a longer work
_SAYS_EVERY = 10.0  # seconds


@dataclass(frozen=True)
class Fingerprint:
    """Of a prepared set: SHA-256 in hexadecimal digits."""

    splits: dict[str, str]
    """Of each stored split, over its labels and stored bytes in their order."""
    class_names: str
    """Over the class names in theirs."""


def stored_fingerprint(prepared: Path, report: Report | None = None) -> Fingerprint:
    """The fingerprint of the set in a prepared folder.

    It is read from a small file there as long as all files of the set have the sizes and times noted in it; else the
    set is read through once, a few megabytes at a time, and the file written: in the user's cache, where the folder is
    read only.

    Args:
      report: is called as report(split, examples read, examples in the split); None says on standard error how far
        it is, if it takes more than a second.

    Raises:
      DataError: where the set cannot be read.
    """
    if kept := kept_fingerprint(prepared):
        return kept
    about = load_arrays(prepared, "train")[2]  # which makes what is missing, where the folder can be written
    files = _files(prepared)  # as they are before they are read
    report = report or _say(prepared)
    splits = {split: _digest_split(prepared, split, report) for split in sorted(about.splits)}
    names = hashlib.sha256(json.dumps(list(about.class_names)).encode()).hexdigest()
    made = Fingerprint(splits, names)
    _keep(prepared, files, made)
    return made


def kept_fingerprint(prepared: Path) -> Fingerprint | None:
    """The fingerprint of the set in a prepared folder, where it was made and the files have not changed since."""
    files = _files(prepared)
    return next((kept for place in _places(prepared) if (kept := _read_kept(place, files))), None)


def _places(prepared: Path) -> Iterator[Path]:
    """The files in which a fingerprint may be kept: beside the set, or else in the user's cache."""
    yield prepared / KEPT
    name = hashlib.sha256(os.fsencode(prepared.resolve())).hexdigest()
    with contextlib.suppress(RuntimeError):  # a user without a home has no cache
        cache = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        yield Path(cache) / "cnn_jax" / "fingerprints" / f"{name}.json"


def _digest_split(prepared: Path, split: str, report: Report) -> str:
    images, labels, _ = load_arrays(prepared, split)
    content = hashlib.sha256()
    if images is None:
        _add_records(content, prepared, split, len(labels), report)
    else:
        _add_array(content, images, split, report)
    whole = hashlib.sha256(content.digest())
    whole.update(np.ascontiguousarray(labels, "<i4").data)
    return whole.hexdigest()


def _add_array(content: "hashlib._Hash", images: np.ndarray, split: str, report: Report) -> None:
    """The shape, and the pixels uint8 [n, H, W, C] one after the other."""
    content.update(repr(tuple(map(int, images.shape))).encode())
    many = max(1, _CHUNK_BYTES // max(1, images[:1].nbytes))
    for first in range(0, len(images), many):
        content.update(np.ascontiguousarray(images[first : first + many]).data)
        report(split, min(first + many, len(images)), len(images))


@untouched_logging()
def _add_records(content: "hashlib._Hash", prepared: Path, split: str, count: int, report: Report) -> None:
    """Each image file as it is stored, behind its length."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(prepared)
    source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    if len(source) != count:
        raise DataError(f"{prepared} stores {len(source)} images and {count} labels of {split}; prepare it again.")
    for first in range(0, count, _RECORDS):
        chunk = range(first, min(first + _RECORDS, count))
        try:
            records = source.__getitems__(chunk)
        except Exception as error:  # a damaged file shows as every kind of exception
            raise DataError(f"the records of {split} in {prepared} are damaged: {error}; prepare it again.") from error
        for record in records:
            image = record["image"]
            content.update(len(image).to_bytes(8, "little") + image)
        report(split, chunk.stop, count)


def _files(prepared: Path) -> dict[str, list[int]]:
    """Size and time of change, in ns, of every file of the set, by its name below the folder."""
    found = {}
    for place in (prepared, prepared / "arrays"):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.is_file() and not path.name.startswith(KEPT):
                state = path.stat()
                found[str(path.relative_to(prepared))] = [state.st_size, state.st_mtime_ns]
    return found


def _read_kept(path: Path, files: dict[str, list[int]]) -> Fingerprint | None:
    """What a kept file says, if it is whole and of these very files."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        kept = json.loads(path.read_text())
        checksum = kept.pop("checksum")
        if checksum == _checksum(kept) and kept["files"] == files:
            return Fingerprint(kept["splits"], kept["class_names"])
    return None


def _keep(prepared: Path, files: dict[str, list[int]], made: Fingerprint) -> None:
    content = {**asdict(made), "files": files}
    text = json.dumps({**content, "checksum": _checksum(content)}, indent=1) + "\n"
    for path in _places(prepared):
        with contextlib.suppress(OSError):  # a read-only root; and with a full disk it is made again at the next use
            _write(path, text)
            return


def _write(path: Path, text: str) -> None:
    """In one piece, for several processes may write at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # for the other users of a shared root
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _checksum(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _say(prepared: Path) -> Report:
    """Says on standard error how far the reading is, now and then."""
    due = time.monotonic() + _QUIET_SECONDS

    def report(split: str, done: int, total: int) -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + _SAYS_EVERY
        with contextlib.suppress(OSError, ValueError):  # a closed standard error ends no training
            print(f"reading {prepared} once, for its fingerprint: {split} {done / total:.0%}", file=sys.stderr)

    return report
