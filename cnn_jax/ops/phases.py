"""The pixels of an image by their remainder under a stride: what turns strided gradients into dense ones."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.geometry import Pair


@dataclass(frozen=True)
class Phase:
    """The pixels of one remainder under the stride, along one axis, and the taps of the window that ever meet them.

    Pixel `remainder + q * stride` meets tap `taps[t]` at the output's place `q - lifts[t]`.
    """

    remainder: int
    size: int
    taps: tuple[int, ...]
    lifts: tuple[int, ...]


def phases(size: int, window: int, stride: int, dilation: int, low: int) -> Iterator[Phase]:
    """The phases of an axis of `size` pixels, padded by `low` in front, that meet any tap."""
    for remainder in range(min(stride, size)):
        met = [(tap, tap * dilation - low - remainder) for tap in range(window)]
        met = [(tap, offset // stride) for tap, offset in met if offset % stride == 0]
        if met:
            taps, lifts = zip(*met, strict=True)
            yield Phase(remainder, -(-(size - remainder) // stride), taps, lifts)


def interleave(blocks: Mapping[Pair, Array], strides: Pair, size: Pair) -> Array:
    """Put the pixels of every pair of remainders, [n, places, places, c] each, back in order, [n, h, w, c].

    Remainders that are missing are zero; places beyond the image are cut.
    """
    first = next(iter(blocks.values()))
    n, rows, columns, c = first.shape
    remainders = itertools.product(range(strides[0]), range(strides[1]))
    grid = jnp.stack([blocks.get(at, jnp.zeros_like(first)) for at in remainders], axis=3)
    grid = grid.reshape(n, rows, columns, *strides, c).transpose(0, 1, 3, 2, 4, 5)
    return grid.reshape(n, rows * strides[0], columns * strides[1], c)[:, : size[0], : size[1]]
