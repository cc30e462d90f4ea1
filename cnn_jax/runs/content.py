"""What an experiment holds beside its keys, by content: its own code, its data set, its starting weights."""

from dataclasses import dataclass, replace
from typing import Any

from cnn_jax import config as configuration
from cnn_jax.config import Config
from cnn_jax.data import UnpreparedError, fingerprint, is_fingerprinted
from cnn_jax.runs.start.starting_weights import weights_file
from cnn_jax.weights import weights_digest


@dataclass(frozen=True)
class Parent:
    """The state of another run that a run began from."""

    given: str
    """RUN[@STEP], as it was asked for."""
    identity: str
    step: int

    def __str__(self) -> str:
        """What counts in the identity."""
        return f"{self.identity}@{self.step}"


@dataclass(frozen=True)
class Content:
    """As `config.json` keeps it; None where there is none, or where it is not known."""

    code: dict[str, Any] | None = None
    """{digest, files: {name: digest}} of what counts of one's own code."""
    data: dict[str, str] | None = None
    """Of each split, and of the class names."""
    weights: str | None = None
    """Of the arrays in the file of `model.weights`, or in the one that is written of a run."""
    parent: Parent | None = None

    def identity(self, config: Config) -> str:
        """The name of the experiment with this content."""
        code = None if self.code is None else self.code["digest"]
        parent = None if self.parent is None else str(self.parent)
        return configuration.identity(config, code=code, data=self.data, weights=self.weights, parent=parent)

    def difference(self, here: "Content") -> dict[str, list[str | None]]:
        """What differs, `{name: [there, here]}`, by the names of `flat`. A file with another name is the same code."""
        if self.code and here.code and self.code["digest"] == here.code["digest"]:
            here = replace(here, code=self.code)
        return configuration.difference(self.flat(), here.flat())

    def flat(self) -> dict[str, str]:
        """Every digest by a name to show: `code: file lion.py`, `data: train`, `weights`, `parent`."""
        code = {} if self.code is None else {f"code: file {name}": found for name, found in self.code["files"].items()}
        data = {f"data: {split.replace('_', ' ')}": found for split, found in (self.data or {}).items()}
        rest = {"weights": self.weights, "parent": None if self.parent is None else str(self.parent)}
        return code | data | {name: found for name, found in rest.items() if found is not None}


NOTHING = Content()


def content_of(config: Config, weights: str | None = None) -> Content:
    """The content of an experiment as it is now.

    Args:
      weights: what `weights_of` gives, where that is known.

    Raises:
      UnpreparedError, DataError: when the data set is not prepared or cannot be read.
      WeightsError: when the file of `model.weights` cannot be read.
      RunError, CheckpointError, ConfigError: when the run in its place cannot be used.
    """
    return Content(
        code=None if config.code is None else config.code.record(),
        data=_fingerprint(config),
        weights=weights or weights_of(config),
    )


def weights_of(config: Config) -> str | None:
    """The digest of the starting weights; of a run in their place, all processes read the checkpoint together.

    Raises:
      WeightsError, RunError, CheckpointError, ConfigError: as `content_of`.
    """
    if config.model.weights is None:
        return None
    with weights_file(config.model.weights, config.model.dtype) as file:
        return weights_digest(file)


def data_now(config: Config) -> dict[str, str] | None:
    """The fingerprint of the data set as it is now; None where it is not prepared."""
    try:
        return _fingerprint(config)
    except UnpreparedError:
        return None


def knows_data_now(config: Config) -> bool:
    """Whether `data_now` answers without reading the data set through."""
    data = config.data
    name = str(data.name)
    return ":" not in name and is_fingerprinted(name, root=data.root, folder=data.folder, on_error=data.on_error)


def _fingerprint(config: Config) -> dict[str, str]:
    from cnn_jax.runs.splits import data_source  # here, because what a folder says is read without JAX

    data = config.data
    return fingerprint(data_source(config), root=data.root, folder=data.folder, on_error=data.on_error)
