"""From official archives to a prepared set."""

import json
import logging
import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from cnn_jax.data.errors import ChoiceError, DataError, UnpreparedError
from cnn_jax.data.sets.catalogue import ANY_SIZE, DatasetSpec, dataset_spec, folder_spec
from cnn_jax.data.sets.fetch import fetch_archives
from cnn_jax.data.sets.image_folder import note_passed_over
from cnn_jax.data.sets.raw import EncodedExample, EncodedSplit, Splits
from cnn_jax.data.store.arrays import load_arrays
from cnn_jax.data.store.fingerprint import stored_fingerprint
from cnn_jax.data.store.root import data_root, find_prepared
from cnn_jax.data.store.verify import OnError, verified
from cnn_jax.data.store.write import write_set
from cnn_jax.paths import local_path

logger = logging.getLogger(__name__)

SKIPPED = "skipped.json"  # the image files that were left out, and why
PASSED_OVER = "passed_over.json"  # what lay among them and is no image, and why

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
        spec, archives = folder_spec(source), None
    else:
        spec, archives = dataset_spec(name), local_path(source, "--source") if source else None
        if spec.source == "bundled" and archives is not None:
            raise ChoiceError(f"--source has no effect: {name} comes with a package; leave it out.")
        if spec.image_shape != ANY_SIZE and on_error == "skip":
            raise ChoiceError(f"--on-error skip has no effect on {name}, which holds no image files; leave it out.")
    return prepare_set(spec, archives, data_root(root), on_error, report)


def prepare_set(
    spec: DatasetSpec, archives: Path | None, root: Path, on_error: OnError, report: Report | None = None
) -> Path:
    """`prepare`, of an entry of the catalogue."""
    prepared = find_prepared(root, spec.name)
    if prepared is None and archives is None and spec.archives:
        fetched = fetch_archives(spec.family, spec.archives, root / f".archives-{spec.family}", report)
        prepared = _write(spec, fetched, root, on_error, report)
        shutil.rmtree(fetched)
    elif prepared is None:
        prepared = _write(spec, archives, root, on_error, report)
    load_arrays(prepared, "train")  # made now, the arrays need not be made at the first start of a training
    stored_fingerprint(prepared, report)
    return prepared


def skipped_files(prepared: Path) -> tuple[str, ...]:
    """The image files that were left out when the set was prepared."""
    return _files(prepared / SKIPPED)


def passed_over_files(prepared: Path) -> tuple[str, ...]:
    """What lay among the image files when the set was prepared, and is none: hidden files, texts and the like."""
    return _files(prepared / PASSED_OVER)


def _files(path: Path) -> tuple[str, ...]:
    try:
        return tuple(row["file"] for row in json.loads(path.read_text())) if path.exists() else ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read ({error}); remove {path.parent} and prepare the set again.") from error


def _write(spec: DatasetSpec, archives: Path | None, root: Path, on_error: OnError, report: Report | None) -> Path:
    skipped = _rows(spec.faults)
    if skipped and on_error == "fail":
        raise DataError(f"{skipped[0]['reason']} Remove it, or skip such with on_error=skip.")
    splits: Splits = spec.read(archives)
    if spec.source == "archives":
        _note_counts(spec, splits, archives)
    classes: dict[str, set[int]] = {split: set() for split in splits}
    if spec.image_shape == ANY_SIZE:
        splits = {
            split: EncodedSplit(
                _noting(verified(examples, on_error, skipped), classes[split]),  # type: ignore[arg-type]
                len(examples),
            )
            for split, examples in splits.items()
        }

    def extras() -> dict[str, str]:
        if spec.image_shape == ANY_SIZE:
            _note_untrained(spec, classes)
        passed_over = _rows(note_passed_over(spec.passed_over, PASSED_OVER))
        texts = {SKIPPED: json.dumps(skipped, ensure_ascii=False)}
        if passed_over:
            texts[PASSED_OVER] = json.dumps(passed_over, ensure_ascii=False)
        return {**spec.extras(archives), **texts}

    return write_set(
        root, spec.name, spec.version, splits, spec.image_shape, spec.class_names, extras=extras, report=report
    )


def _note_counts(spec: DatasetSpec, splits: Splits, archives: Path | None) -> None:
    """Say where a set is a part of the published one, such as half an unpacked archive.

    What is left out later counts here: a file is found before it turns out to be bad.
    """
    for split, published in spec.splits.items():
        found = len(splits[split]) if split in splits else 0
        if found != published:
            logger.warning(
                "note: %s holds %s examples of %s, but %s was published with %s; fetch or unpack it again, unless a "
                "part is what you want",
                archives,
                f"{found:,}",
                split,
                spec.name,
                f"{published:,}",
            )


def _rows(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"file": file, "reason": reason} for file, reason in pairs]


def _noting(examples: Iterable[EncodedExample], labels: set[int]) -> Iterator[EncodedExample]:
    for example in examples:
        labels.add(example.label)
        yield example


def _note_untrained(spec: DatasetSpec, classes: Mapping[str, set[int]]) -> None:
    """Say in the log which classes are tested and never trained on, since their training images were left out."""
    for split, labels in classes.items():
        untrained = sorted(labels - classes["train"])
        if untrained:
            names = ", ".join(spec.class_names[label] for label in untrained)
            logger.warning("note: %s holds images of %s, of which train holds none that can be used", split, names)


def prepare_command(name: str, root: str | os.PathLike[str] | None = None) -> str:
    """The command line that prepares `name`, for messages."""
    where = f" --root {shlex.quote(str(root))}" if root else ""
    return f"cnn-jax data prepare {name} --source DIR{where}"


def unprepared(spec: DatasetSpec, root: str | os.PathLike[str] | None) -> UnpreparedError:
    """What to raise where a set must be prepared first: its message is the command that does it."""
    download = " (without --source the archives are downloaded)" if spec.archives else ""
    command = prepare_command(spec.name, root)
    return UnpreparedError(f"{spec.name} is not prepared below {data_root(root)}; run `{command}`{download}.")
