"""Which other data a run is evaluated on."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class OtherData:
    """Data to evaluate a run on that it was not trained on; what is None is as in the run."""

    name: str | None = None
    """A data set with the run's class names, as for `train`; one's own as FILE.py:NAME, with the file's path."""
    folder: str | None = None
    """Your own images, as DIR/CLASS/IMAGE, of which all are taken, or as for `train`, in DIR/test/CLASS/IMAGE."""
    root: str | None = None
    """Where prepared sets lie."""
    on_error: Literal["fail", "skip"] | None = None
    """What an image file that cannot be decoded does: end the evaluation, or be left out, counted and listed."""
    eval_augment: tuple[str, ...] | None = None
    """What is done to its images. When not given: they are brought to the size and channels of the run's data set, as
    `predict` does it, and then treated as at the run's evaluation."""
