"""What a run folder says about itself: `config.json`, read and checked."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from cnn_jax import config as configuration
from cnn_jax.config import Config
from cnn_jax.data import DatasetInfo
from cnn_jax.paths import local_path
from cnn_jax.runs.content import NOTHING, Content, Parent
from cnn_jax.runs.derive import Derived
from cnn_jax.runs.folder.files import json_crc32

SCHEMA = 2
"""Of `config.json`; version 0.1 wrote none, which is 1."""


class RunError(RuntimeError):
    """A run folder that cannot be used as asked: the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What `config.json` of a run folder holds."""

    directory: Path
    config: Config
    derived: Derived
    environment: dict[str, Any]
    content: Content = NOTHING
    record: list[Any] = dataclasses.field(default_factory=list)
    schema: int = SCHEMA
    info: DatasetInfo | None = None
    """Of its data set: what predicting needs to know; None where it was not stored."""

    @property
    def identity(self) -> str:
        """The name of the experiment."""
        return self.content.identity(self.config)

    @property
    def seconds(self) -> dict[str, float]:
        """What it took, by what the time was spent on, over all its starts."""
        total: dict[str, float] = {}
        for entry in self.record:
            for kind, seconds in entry["seconds"].items():
                total[kind] = total.get(kind, 0.0) + seconds
        return total

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints lie."""
        return self.directory / "checkpoints"


def _info(stored: dict[str, Any]) -> DatasetInfo:
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
    return DatasetInfo(**values)


def _content(stored: dict[str, Any]) -> Content:
    parent = stored.get("parent")  # was not written before there were any
    parts = {key: stored[key] for key in ("code", "data", "weights")}
    return Content(**parts, parent=None if parent is None else Parent(**parent))


def is_begun(directory: Path) -> bool:
    """Whether a folder holds a run: its `config.json`, or checkpoints, which a run has only after that."""
    return (directory / "config.json").exists() or bool(_saved_in(directory))


def _saved_in(directory: Path) -> list[Path]:
    return [path for name in ("checkpoints", "damaged") for path in (directory / name).glob("*")]


def to_json(content: dict[str, Any]) -> str:
    """The text of a `config.json`: a checksum of all members goes after the identity, which covers some of them."""
    rest = {key: value for key, value in content.items() if key not in ("schema", "identity")}
    head = {"schema": content["schema"], "identity": content["identity"], "checksum": json_crc32(content)}
    return json.dumps(head | rest, indent=2) + "\n"


def read_run(directory: Path | str) -> Run:
    """Reads a run folder's `config.json`.

    Raises:
      RunError: when there is none, it is not one that cnn_jax wrote, or it was changed since.
    """
    directory = local_path(directory, "RUN")
    path = directory / "config.json"
    if not path.is_file() and _saved_in(directory):
        raise RunError(
            f"`{path}` is gone, and there are checkpoints beside it. Nothing was changed. Put back a copy, or "
            "give another --workdir."
        )
    if not directory.exists():
        raise RunError(f"there is no folder `{directory}`; `cnn-jax runs` lists the runs.")
    if not path.is_file():
        raise RunError(f"`{directory}` is not a run folder: it has no config.json. `cnn-jax train` makes one.")
    try:
        stored = json.loads(path.read_text())
        schema = stored.get("schema", 1)
        if schema not in (1, SCHEMA):
            raise ValueError(f"its schema is {schema!r}, and this version reads up to {SCHEMA}; use a newer cnn_jax")
        run = Run(
            directory,
            configuration.from_stored(stored["config"]),
            Derived(**stored["derived"]),
            stored["environment"],
            _content(stored) if schema == SCHEMA else NOTHING,
            stored.get("record", []),
            schema,
            _info(stored["info"]) if stored.get("info") else None,
        )
        found = run.identity if schema == SCHEMA else configuration.identity_0_1(stored["config"])
        written = stored["identity"]
        checksum = stored.pop("checksum") if schema == SCHEMA else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"`{path}` cannot be read as a run's configuration: {error}") from error
    if found != written:
        raise RunError(
            f"`{path}` was changed after it was written: what it holds has the identity {found}, and it says "
            f"{written}. So what was trained is not known: put the file back as it was, or train in another folder."
        )
    if schema == SCHEMA and checksum != json_crc32(stored):
        raise RunError(
            f"`{path}` is damaged, or was changed after it was written: its checksum is another. Put the file back as "
            "it was, or train in another folder."
        )
    return run
