"""What is known of one's own code in an experiment: which files are run, what counts of them, its digest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class OwnFile:
    """A file of which something counts."""

    name: str
    """Relative to the experiment's folder, or as its module's name gives it."""
    digest: str
    """SHA-256 of what counts of it."""


@dataclass(frozen=True)
class OwnCode:
    """One's own code in an experiment."""

    folder: Path | None
    """Of the experiment file: modules beside it are imported from there. None without such a file."""
    digest: str | None
    """SHA-256 of what counts of all files; None where nothing does."""
    files: tuple[OwnFile, ...]
    sources: Mapping[str, bytes] = field(repr=False)
    """All files that are run, the experiment file and what it imports of one's own, by the names of `OwnFile`."""
    path: Path
    """Of the experiment file."""
    content: bytes = field(repr=False)
    loaded: tuple[str, ...] = ()
    """The modules of one's own that it loaded."""
    module: str | None = None
    """What it is called among the loaded modules."""

    def record(self) -> dict[str, object] | None:
        """As `config.json` keeps it; None where nothing counts."""
        if self.digest is None:
            return None
        experiment = None if self.folder is None else self.path.name
        return {"digest": self.digest, "files": {f.name: f.digest for f in self.files}, "experiment": experiment}
