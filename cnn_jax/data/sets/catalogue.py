"""Every known data set, in one literal table: what it holds, and which reader understands its archives."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnn_jax.data.errors import ChoiceError
from cnn_jax.data.sets import class_names as names
from cnn_jax.data.sets.checksums import official_archives
from cnn_jax.data.sets.cifar import read_cifar10, read_cifar100
from cnn_jax.data.sets.digits import read_digits
from cnn_jax.data.sets.emnist import emnist
from cnn_jax.data.sets.image_folder import scan_folder
from cnn_jax.data.sets.imagenet import imagenette, read_imagenet
from cnn_jax.data.sets.mnist import mnist_like
from cnn_jax.data.sets.raw import ImageShape, Splits
from cnn_jax.data.sets.stl10 import read_folds, read_stl10
from cnn_jax.nearest import nearest_names

ANY_SIZE = (None, None, 3)  # image files
FOLDS = "folds.json"  # which training examples make up NAME/fold0, NAME/fold1, …


@dataclass(frozen=True)
class DatasetSpec:
    """One data set.

    Attributes:
      read: turns the folder of official archives into splits; a bundled set ignores the folder.
      image_shape: (height, width, channels); ANY_SIZE for image files.
      classes: their names in the order of the labels, or what reads them.
      archives: the files to fetch where there is a network and no folder is named; none for what must not be fetched
        unasked.
      source: where the examples come from: "bundled" with a dependency (prepared on first use) or official
        "archives".
      splits: the examples in each stored split.
      test: the stored split that plays the test's part (ImageNet publishes no test labels; everyone reports its
        validation split).
      extras: reads the small text files that belong to the set, by name.
      faults: what is already known to be wrong, as pairs of a path and a sentence.
      passed_over: what lies among the images and is none, as pairs of a path and the reason.
      version: of our array_record set; it is raised when the contents change.
    """

    name: str
    read: Callable[[Path | None], Splits]
    image_shape: ImageShape
    classes: tuple[str, ...] | Callable[[], tuple[str, ...]]
    splits: Mapping[str, int]
    archives: tuple[str, ...] = ()
    source: Literal["bundled", "archives"] = "archives"
    test: str = "test"
    extras: Callable[[Path | None], Mapping[str, str]] = lambda source: {}
    faults: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    version: str = "1.0.0"

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the labels."""
        return self.classes() if callable(self.classes) else self.classes

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def family(self) -> str:
        """The name under which the archives are published: "emnist" for "emnist/letters"."""
        return self.name.split("/")[0]

    @property
    def has_validation(self) -> bool:
        """Whether the set comes with a validation split beside its test split."""
        return "validation" in self.splits and self.test != "validation"


def _emnist(split_name: str, classes: tuple[str, ...], train: int, test: int) -> DatasetSpec:
    splits = {"train": train, "test": test}
    return DatasetSpec(f"emnist/{split_name}", emnist(split_name), (28, 28, 1), classes, splits, ("gzip.zip",))


def _mnist(name: str, classes: tuple[str, ...]) -> DatasetSpec:
    archives = tuple(official_archives(name))
    return DatasetSpec(name, mnist_like(name), (28, 28, 1), classes, {"train": 60_000, "test": 10_000}, archives)


def _cifar(name: str, read: Callable[[Path | None], Splits], classes: tuple[str, ...], archive: str) -> DatasetSpec:
    return DatasetSpec(name, read, (32, 32, 3), classes, {"train": 50_000, "test": 10_000}, (archive,))


DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            "digits",
            lambda source: read_digits(),
            (8, 8, 1),
            names.DIGITS,
            {"train": 1258, "validation": 180, "test": 359},
            source="bundled",
        ),
        _mnist("mnist", names.DIGITS),
        _mnist("kmnist", names.HIRAGANA),
        _mnist("fashion_mnist", names.CLOTHES),
        _emnist("byclass", names.CHARACTERS, 697_932, 116_323),
        _emnist("bymerge", names.MERGED_CHARACTERS, 697_932, 116_323),
        _emnist("balanced", names.MERGED_CHARACTERS, 112_800, 18_800),
        _emnist("letters", names.LETTERS, 124_800, 20_800),
        _emnist("digits", names.DIGITS, 240_000, 40_000),
        _emnist("mnist", names.DIGITS, 60_000, 10_000),
        _cifar("cifar10", read_cifar10, names.CIFAR10, "cifar-10-binary.tar.gz"),
        _cifar("cifar100", read_cifar100, names.CIFAR100, "cifar-100-binary.tar.gz"),
        DatasetSpec(
            "imagenet2012",
            read_imagenet,
            ANY_SIZE,
            names.imagenet_wordnet_ids,
            {"train": 1_281_167, "validation": 50_000},
            test="validation",
        ),
        *(
            DatasetSpec(
                name,
                imagenette(stem),
                ANY_SIZE,
                tuple(names.IMAGENETTE.values()),
                {"train": 9_469, "validation": 3_925},
                (f"{stem}.tgz",),
                test="validation",
            )
            for name, stem in (
                ("imagenette", "imagenette2"),
                ("imagenette/320px", "imagenette2-320"),
                ("imagenette/160px", "imagenette2-160"),
            )
        ),
        DatasetSpec(
            "stl10",
            read_stl10,
            (96, 96, 3),
            names.STL10,
            {"train": 5_000, "test": 8_000, "unlabelled": 100_000},
            ("stl10_binary.tar.gz",),
            extras=lambda source: {FOLDS: json.dumps(read_folds(source))},
        ),
    )
}


def folder_spec(folder: str | os.PathLike[str]) -> DatasetSpec:
    """An entry for the images in `folder`, under a name that changes with them."""
    index = scan_folder(folder)
    return DatasetSpec(
        index.store_name,
        lambda source: index.read(),
        ANY_SIZE,
        index.class_names,
        {split: len(files) for split, files in index.files.items()},
        source="bundled",
        test=index.test,
        faults=index.faults,
        passed_over=index.passed_over,
    )


def dataset_spec(name: str | DatasetSpec) -> DatasetSpec:
    """The entry called `name`; a fold such as "stl10/fold3" has its set's, and an entry is its own.

    Raises:
      ChoiceError: for an unknown name, with the names that come close.
    """
    if isinstance(name, DatasetSpec):
        return name
    spec = DATASETS.get(name.split("/fold")[0])
    if spec is not None:
        return spec
    family = [other for other in DATASETS if other.split("/")[0] == name]  # the ways to split EMNIST
    close = family or nearest_names(name, DATASETS)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(DATASETS)}."
    raise ChoiceError(f"unknown data set {name!r}; {hint}")
