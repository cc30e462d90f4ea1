"""Writing and finding prepared sets: TFDS array_record folders below a root, complete or absent."""

import contextlib
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError
from .raw import RawSplit


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of prepared sets: `root` where given, else $CNN_JAX_DATA, else the user's cache folder."""
    if root:
        return Path(root).expanduser()
    if from_environment := os.environ.get("CNN_JAX_DATA"):
        return Path(from_environment).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cnn_jax"


def find_prepared(root: Path, name: str) -> Path | None:
    """The folder of the newest prepared version of `name`, ROOT/NAME/VERSION, or None.

    TFDS writes dataset_info.json last and we rename the folder into place after that, so its presence means
    completeness.
    """
    found = [path.parent for path in (root / name).glob("*/dataset_info.json") if _version(path.parent.name)]
    return max(found, key=lambda folder: _version(folder.name) or (), default=None)


def _version(text: str) -> tuple[int, ...] | None:
    parts = text.split(".")
    return tuple(map(int, parts)) if len(parts) == 3 and all(part.isdecimal() for part in parts) else None


@contextlib.contextmanager
def preparation(root: Path, name: str) -> Iterator[Path]:
    """A lock on the preparation of `name`, and an empty folder to do it in, on the same file system as the root.

    The lock belongs to the process, so a killed preparation frees it; what that one left behind is removed by the next.
    """
    work = root / f".preparing-{name.replace('/', '-')}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with open(work.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"cannot prepare {name} below {root}: {error}; free some space, or choose another folder with --root."
        ) from error


def write_set(
    root: Path,
    name: str,
    version: str,
    splits: Mapping[str, RawSplit],
    class_names: tuple[str, ...],
    *,
    extras: Mapping[str, str] | None = None,
    report: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Store `splits` as the array_record set ROOT/NAME/VERSION with features "image" and "label", in the order given.

    The folder appears in one rename when everything is written; the examples keep the archive's order, so an index
    means the same
    example in every preparation.

    Args:
        extras: small text files that belong to the set, by name.
        report: is called as report(split, examples written, examples in the split) now and then.

    Raises:
        DataError: where the root cannot be written, or a label is outside the classes.
    """
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    folder = root / name / version
    with preparation(root, name) as work:
        if (folder / "dataset_info.json").exists():  # another process prepared it while we waited for the lock
            return folder
        builder = _builder(name, version, splits, class_names, work, report)
        with contextlib.redirect_stdout(io.StringIO()):  # standard output is the command's own
            builder.download_and_prepare(
                download_dir=work / "downloads", download_config=tfds.download.DownloadConfig(try_download_gcs=False)
            )
        for file, text in (extras or {}).items():
            (Path(builder.data_path) / file).write_text(text)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(builder.data_path, folder)
    return folder


def _builder(
    name: str,
    version: str,
    splits: Mapping[str, RawSplit],
    class_names: tuple[str, ...],
    work: Path,
    report: Callable[[str, int, int], None] | None,
) -> Any:
    import tensorflow_datasets as tfds

    streams = {split: iter(raw.images) for split, raw in splits.items()}
    first = {split: next(stream) for split, stream in streams.items()}
    example: Any = next(iter(first.values()))
    image = (
        tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        if isinstance(example, bytes)
        else tfds.features.Tensor(shape=example.shape, dtype=np.uint8)
    )

    class OfflineInfo(tfds.core.DatasetInfo):
        def initialize_from_bucket(self) -> None:
            """Do not look the set up in TFDS's bucket: without a network that blocks for minutes."""

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version(version)

        def _info(self) -> tfds.core.DatasetInfo:
            label = tfds.features.ClassLabel(names=list(class_names))
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            return OfflineInfo(builder=self, features=features, disable_shuffling=True)

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
            labels, total = splits[split].labels, len(splits[split])
            for key in range(total):
                content = first[split] if key == 0 else next(streams[split])
                if splits[split].labelled and not 0 <= labels[key] < len(class_names):
                    raise DataError(
                        f"{name}: example {key} of {split} has the label {labels[key]}, but there are only "
                        f"{len(class_names)} classes (0 .. {len(class_names) - 1}); the archive is damaged."
                    )
                yield key, {"image": content, "label": int(labels[key])}
                if report and (key + 1 == total or key % 1000 == 0):
                    report(split, key + 1, total)

    Builder.name = name.replace("/", "_")
    return Builder(data_dir=work, file_format="array_record")
