"""From official archives to a prepared set."""

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from ...paths import local_path
from ..errors import ChoiceError, DataError, UnpreparedError
from ..sets.catalogue import ANY_SIZE, KnownSet, folder_set, known_set
from ..sets.fetch import fetch_archives
from ..sets.raw import EncodedSplit, Splits
from .arrays import load_arrays
from .root import data_root, find_prepared
from .verify import OnError, verified
from .write import write_set

SKIPPED = "skipped.json"  # the image files that were left out, and why

Report = Callable[[str, int, int], None]


def prepare(
    name: str,
    *,
    source: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
    on_error: OnError = "fail",
    report: Report | None = None,
) -> Path:
    """Store the data set `name` below the root, from its official archives; nothing is done where it is prepared.

    Args:
        source: the folder of the archives; None fetches them where there is a network (but not ImageNet, which needs
        an account).
        name: as `cnn-jax data list` shows it; "folder" takes the images of `source`.
        on_error: what an image file that cannot be decoded does: end the preparation, or be left out and noted.
        report: is called as report(split, examples written, examples in the split) now and then.

    Returns:
        The prepared folder, ROOT/NAME/VERSION.

    Raises:
        DataError: for an unknown name, a missing or damaged archive, a bad image, or a root that cannot be written.
    """
    if name == "folder":
        if source is None:
            raise ChoiceError("name the folder of images: `cnn-jax data prepare folder --source DIR`.")
        known, archives = folder_set(source), None
    else:
        known, archives = known_set(name), local_path(source, "--source") if source else None
        if known.source == "bundled" and archives is not None:
            raise ChoiceError(f"--source has no effect: {name} comes with a package; leave it out.")
        if known.image_shape != ANY_SIZE and on_error == "skip":
            raise ChoiceError(f"--on-error skip has no effect on {name}, which holds no image files; leave it out.")
    return prepare_set(known, archives, data_root(root), on_error, report)


def prepare_set(
    known: KnownSet, archives: Path | None, root: Path, on_error: OnError, report: Report | None = None
) -> Path:
    """`prepare`, of an entry of the catalogue."""
    prepared = find_prepared(root, known.name)
    if prepared is None and archives is None and known.archives:
        fetched = fetch_archives(known.family, known.archives, root / f".archives-{known.family}", report)
        prepared = _write(known, fetched, root, on_error, report)
        shutil.rmtree(fetched)
    elif prepared is None:
        prepared = _write(known, archives, root, on_error, report)
    load_arrays(prepared, "train")  # made now, the arrays need not be made at the first start of a training
    return prepared


def skipped_files(prepared: Path) -> tuple[str, ...]:
    """The image files that were left out when the set was prepared."""
    path = prepared / SKIPPED
    return tuple(row["file"] for row in json.loads(path.read_text())) if path.exists() else ()


def _write(known: KnownSet, archives: Path | None, root: Path, on_error: OnError, report: Report | None) -> Path:
    skipped = [{"file": file, "reason": reason} for file, reason in known.faults]
    if skipped and on_error == "fail":
        raise DataError(f"{skipped[0]['reason']} Remove it, or skip such with on_error=skip.")
    splits: Splits = known.read(archives)
    if known.image_shape == ANY_SIZE:
        splits = {
            split: EncodedSplit(verified(examples, on_error, skipped), len(examples))  # type: ignore[arg-type]
            for split, examples in splits.items()
        }

    def extras() -> dict[str, str]:
        return {**known.extras(archives), SKIPPED: json.dumps(skipped, ensure_ascii=False)}

    return write_set(
        root, known.name, known.version, splits, known.image_shape, known.class_names, extras=extras, report=report
    )


def prepare_command(name: str, root: str | os.PathLike[str] | None = None) -> str:
    """The command line that prepares `name`, for messages."""
    where = f" --root {shlex.quote(str(root))}" if root else ""
    return f"cnn-jax data prepare {name} --source DIR{where}"


def unprepared(known: KnownSet, root: str | os.PathLike[str] | None) -> UnpreparedError:
    """What to raise where a set must be prepared first: its message is the command that does it."""
    download = " (without --source the archives are downloaded)" if known.archives else ""
    command = prepare_command(known.name, root)
    return UnpreparedError(f"{known.name} is not prepared below {data_root(root)}; run `{command}`{download}.")
