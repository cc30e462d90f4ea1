"""Every known data set, in one literal table: what it holds, and which reader understands its archives."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .digits import read_digits
from .errors import DataError
from .mnist import mnist_like
from .raw import RawSplit

_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_TEN_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class KnownSet:
    """One data set.

    Attributes:
        read: turns the folder of official archives into splits; a bundled set ignores the folder.
        source: where the examples come from: "bundled" with a dependency (prepared on first use) or official
        "archives".
        splits: the examples in each stored split.
        test: the stored split that plays the test's part (ImageNet publishes no test labels; everyone reports its
        validation split).
        version: of our array_record set; it is raised when the contents change.
    """

    name: str
    read: Callable[[Path | None], Mapping[str, RawSplit]]
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    splits: Mapping[str, int]
    source: Literal["bundled", "archives"] = "archives"
    test: str = "test"
    version: str = "1.0.0"

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def has_validation(self) -> bool:
        """Whether the set comes with a validation split beside its test split."""
        return "validation" in self.splits and self.test != "validation"


KNOWN_SETS: dict[str, KnownSet] = {
    known.name: known
    for known in (
        KnownSet(
            "digits",
            lambda source: read_digits(),
            (8, 8, 1),
            _TEN_DIGITS,
            {"train": 1258, "validation": 180, "test": 359},
            source="bundled",
        ),
        KnownSet(
            "fashion_mnist",
            mnist_like("fashion_mnist"),
            (28, 28, 1),
            _CLOTHES,
            {"train": 60_000, "test": 10_000},
        ),
    )
}


def known_set(name: str) -> KnownSet:
    """The entry called `name`.

    Raises:
        DataError: for an unknown name, with the names that come close.
    """
    try:
        return KNOWN_SETS[name]
    except KeyError:
        close = difflib.get_close_matches(name, KNOWN_SETS, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(KNOWN_SETS)}."
        raise DataError(f"unknown data set {name!r}; {hint}") from None
