"""How a window moves over an image: strides, padding and output sizes, checked once for every operation.

Everything here is arithmetic on Python integers; one axis of an image of size `n` under a window of `k` taps,
`d` apart, has `(n + low + high - ((k - 1) * d + 1)) // stride + 1` positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jax import Array

type Pair = tuple[int, int]
type Padding = str | int | Sequence[int] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class ConvGeometry:
    """How the filters of one convolution move: everything about it that is not an array."""

    strides: Pair = (1, 1)
    pads: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class PoolGeometry:
    """How a pooling window moves over its images; the padding includes what ceil mode adds."""

    window: Pair
    strides: Pair
    pads: tuple[Pair, Pair]

    def positions(self, x: Array) -> Pair:
        """Height and width of the output for images [n, h, w, c]."""
        return positions(x.shape[1:3], self.window, self.strides, self.pads, (1, 1), "pool")


def pair(value: int | Sequence[int], name: str) -> Pair:
    """Return `(height, width)` for an integer or a pair, at least 1 each.

    Args:
      value: one integer for both axes, or one for each.
      name: what the caller calls it, for the message: `conv2d.strides`.
    """
    values = _two(value)
    if values is None:
        raise ValueError(f"`{name}` must be an integer or a pair (height, width), got {value!r}.")
    if min(values) < 1:
        raise ValueError(f"`{name}` must be positive, got {value!r}; use 1 to leave an axis alone.")
    return values


def span(window: int, dilation: int) -> int:
    """Pixels from the first tap of a window to its last, both included."""
    return (window - 1) * dilation + 1


def explicit_padding(
    padding: Padding, size: Sequence[int], window: Pair, strides: Pair, dilation: Pair, name: str
) -> tuple[Pair, Pair]:
    """Return `((top, bottom), (left, right))` for any of the ways to write a padding.

    Args:
      padding: `SAME` (ceil(size / stride) positions, the odd pixel at the end, as in TensorFlow), `VALID` (none), an
        integer for all sides, `(height, width)`, or `((top, bottom), (left, right))`.
      size: height and width of the image.
      window, strides, dilation: of each axis.
      name: what the caller calls it, for the message.
    """
    if isinstance(padding, str) and padding.upper() == "VALID":
        return (0, 0), (0, 0)
    if isinstance(padding, str) and padding.upper() == "SAME":
        rows, columns = (_same(size[i], window[i], strides[i], dilation[i]) for i in range(2))
        return rows, columns
    axes: Sequence = (padding, padding) if isinstance(padding, int | str) else padding
    sides = [_two(axis) for axis in axes]
    if len(sides) != 2 or sides[0] is None or sides[1] is None or min(*sides[0], *sides[1]) < 0:
        raise ValueError(
            f"`{name}` must be SAME, VALID, an integer, (height, width) or ((top, bottom), (left, right)), nothing "
            f"negative, got {padding!r}."
        )
    return sides[0], sides[1]


def positions(
    size: Sequence[int], window: Pair, strides: Pair, pads: tuple[Pair, Pair], dilation: Pair, name: str
) -> Pair:
    """Return the output's height and width; a window that never fits is an error that says so."""
    out = [(size[i] + sum(pads[i]) - span(window[i], dilation[i])) // strides[i] + 1 for i in range(2)]
    if min(out) < 1:
        raise ValueError(
            f"`{name}`: a window of {window} with dilation {dilation} does not fit the {tuple(size)} image padded by "
            f"{pads}; use a smaller window or more padding."
        )
    return out[0], out[1]


def _same(size: int, window: int, stride: int, dilation: int) -> Pair:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + span(window, dilation) - size, 0)
    return total // 2, total - total // 2


def _two(value: int | Sequence[int]) -> Pair | None:
    """An integer or a pair of them as a pair; None for anything else."""
    values = (value, value) if isinstance(value, int) else value
    if isinstance(values, tuple | list) and len(values) == 2 and all(type(v) is int for v in values):
        return values[0], values[1]
    return None
