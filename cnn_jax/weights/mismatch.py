"""What is wrong with a weights file, in its own names and shapes, and the ways out."""

from collections.abc import Mapping
from typing import Any

from cnn_jax.weights.prefix import most_common_prefix

# The layer that sees the image, whose kernel tells the channels.
FIRST = ("stem_conv", "conv1", "conv1_1", "conv1a", "c1", "c1_a")

_Path = tuple[str, ...]


def explain(
    wanted: Mapping[_Path, Any],
    in_file: Mapping[_Path, tuple[int, ...]],
    names: Mapping[_Path, str],
    left_over: list[str],
    *,
    torch: bool,
) -> list[str]:
    """Lines about what is missing, left over and mis-shaped, and about what to do; none where all fits.

    Args:
      wanted: the model's arrays, or their shapes and dtypes.
      in_file: the shapes found, as the file has them.
      names: of the arrays in the file.
      torch: whether the file lays kernels out as PyTorch does.
    """
    shapes = {p: _torch_shape(p, leaf.shape) if torch else tuple(leaf.shape) for p, leaf in wanted.items()}
    missing = [names.get(p, ".".join(p)) for p in wanted if p not in in_file]
    misfits = [p for p in wanted if p in in_file and tuple(in_file[p]) != shapes[p]]
    rows = [f"{names[p]} is {_times(in_file[p])}, not {_times(shapes[p])}" for p in misfits]
    problems = {"missing": missing, "left over": sorted(left_over), "of another shape": rows}
    lines = [f"  {len(found)} {kind}: {_some(found)}" for kind, found in problems.items() if found]
    if missing and (prefix := most_common_prefix(left_over, missing)):
        lines.append(
            f"  Names that are missing stand there behind the prefix {prefix!r}: save those alone, without it."
        )
    if missing or left_over:
        return lines
    channels = [p for p in misfits if p[-1] == "kernel" and p[1] in FIRST]
    head = [p for p in misfits if p[1] == "head" or p[1].startswith("aux")]
    if channels and len(channels) + len(head) == len(misfits):
        theirs, ours = (shape[1 if torch else 2] for shape in (in_file[channels[0]], shapes[channels[0]]))
        remedy = "add to_rgb() to `data.augment` and `data.eval_augment`" if ours == 1 else "give it such images"
        lines.append(f"  The file's network takes images of {theirs} channels, these have {ours}: {remedy}.")
    if head and head == misfits:
        outputs = next((in_file[p][0 if torch else -1] for p in head), 0)
        lines.append(
            "  Only the classifier differs: leave it out (`--no-head`, or `head=False`; in training "
            f"`--model.new-head`), or name the data set of the file's {outputs} classes (`--data`)."
        )
    return lines


def _torch_shape(path: _Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Of one of our arrays in a file of PyTorch's."""
    if path[-1] != "kernel":
        return tuple(shape)
    return tuple(shape[axis] for axis in ((3, 2, 0, 1) if len(shape) == 4 else range(len(shape) - 1, -1, -1)))


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"


def _some(rows: list[str]) -> str:
    return ", ".join(rows[:8]) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
