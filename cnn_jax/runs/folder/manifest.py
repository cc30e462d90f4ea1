"""What a checkpoint says of itself in the JSON file beside its arrays: whose it is, its step, their checksums."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.runs.folder.damage import DamagedError, ForeignError, StructureError, diagnose, named, unreadable
from cnn_jax.runs.folder.files import json_crc32
from cnn_jax.runs.folder.orbax_logs import ocp

Leaf = tuple[str, tuple[int, ...], str]  # path, shape, dtype


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Beside the checksums, what tells a checkpoint from that of another step, run or network."""

    step: int | None
    identity: str | None
    """Of the experiment; None where it was saved without."""
    top1: float | None
    """On the validation split at this step, 0 to 1; None where it was not measured."""
    lines: tuple[int, int] | None
    """How many lines `metrics.jsonl` had, and their CRC-32; None where that was not noted."""
    leaves: tuple[Leaf, ...] | None
    sums: tuple[int, ...]
    """One for each leaf, in the order of the tree."""

    @property
    def is_old(self) -> bool:
        """Whether it holds the checksums alone, as those that cnn_jax 0.1 wrote."""
        return self.step is None

    def sums_by_path(self) -> dict[str, int]:
        """The checksum of each leaf by its path; not of an old one, which names none."""
        return {path: total for (path, *_), total in zip(self.leaves or (), self.sums, strict=True)}

    def holds(self, beginning: str) -> bool:
        """Whether the path of any leaf begins so."""
        return any(path.startswith(beginning) for path, *_ in self.leaves or ())

    def to_json(self) -> dict[str, Any]:
        """With a checksum of its own."""
        content = json.loads(json.dumps(dataclasses.asdict(self)))
        return content | {"crc32": json_crc32(content)}


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the checkpoint in `folder`.

    Raises:
      DamagedError: when it is not as it was written, or gone.
      UnreadableError: when the disk does not give it.
    """
    path = folder / "checksum" / "metadata"
    try:
        content = json.loads(path.read_bytes())
        if isinstance(content, list) and content:
            return Manifest(None, None, None, None, None, tuple(int(s) for s in content))
        if content.pop("crc32") != json_crc32(content):
            raise ValueError("it differs from what was saved")
        leaves = tuple((path, tuple(shape), dtype) for path, shape, dtype in content.pop("leaves"))
        lines = None if content["lines"] is None else tuple(content["lines"])
        return Manifest(**content | {"lines": lines, "leaves": leaves, "sums": tuple(content["sums"])})
    except FileNotFoundError:
        raise DamagedError(f"{named(folder)} is damaged: {path} is missing.") from None
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{named(folder)} is damaged: {path} cannot be decoded ({error}).") from error


def leaves_of(tree: Any) -> tuple[Leaf, ...]:
    """The leaves of a tree of arrays, of `jax.ShapeDtypeStruct` or of Orbax's metadata, in its order.

    Dictionaries, data classes and sequences look alike in the paths, as they do on the disk.
    """
    return tuple(
        (jax.tree_util.keystr(path, simple=True, separator="."), tuple(leaf.shape), str(jnp.dtype(leaf.dtype)))
        for path, leaf in jax.tree.leaves_with_path(tree)
    )


def stored_leaves(manifest: Manifest, folder: Path) -> tuple[Leaf, ...]:
    """The leaves that the checkpoint in `folder` holds; for one of 0.1, as Orbax has noted them."""
    if manifest.leaves is not None:
        return manifest.leaves
    try:
        return leaves_of(ocp.StandardCheckpointHandler().metadata(folder / "tree").tree)
    except Exception as error:  # of many kinds, on damaged files
        raise diagnose(folder, error) from error


def check_origin(manifest: Manifest, folder: Path, step: int, identity: str | None) -> None:
    """Raises ForeignError where the checkpoint in `folder` is not that of this step and experiment."""
    if manifest.step is not None and manifest.step != step:
        raise ForeignError(
            f"{named(folder)} was saved at step {manifest.step}, not {step}: the folder was renamed or copied. "
            f"Rename it to {manifest.step}, or move it out of {folder.parent}; nothing was changed."
        )
    if None not in (manifest.identity, identity) and manifest.identity != identity:
        raise ForeignError(
            f"{named(folder)} belongs to another experiment (identity {manifest.identity}, this run has "
            f"{identity}): it was copied here, or the run's configuration was edited. Put back what belongs here; "
            "nothing was changed."
        )


def check_structure(stored: tuple[Leaf, ...], target: Any, folder: Path) -> None:
    """Raises StructureError where a checkpoint's leaves are not those of the target, naming the first that differs."""
    there, here = ({path: leaf for path, *leaf in leaves} for leaves in (stored, leaves_of(target)))
    for path in [*here, *(p for p in there if p not in here)]:
        a, b = there.get(path), here.get(path)
        if a == b:
            continue
        if a is None or b is None:
            where = "only the run, not the checkpoint" if a is None else "only the checkpoint, not the run"
            what = f"{where}, has {path}"
        elif a[0] != b[0]:
            what = f"{path} has the shape {a[0]} in the checkpoint and {b[0]} in the run"
        else:
            what = f"{path} is {a[1]} in the checkpoint and {b[1]} in the run"
        raise StructureError(
            f"{named(folder)} is of another network or optimiser: {what}. Undo the edit of the model, or give "
            "another --workdir; nothing was changed."
        )
