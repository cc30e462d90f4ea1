"""The gradient of a strided convolution to its input, without the zeros that the textbook form multiplies."""

import itertools

import jax.numpy as jnp
from jax import Array, lax

from .geometry import ConvGeometry, Phase, phases


def strided_input_gradient(g: Array, kernel: Array, size: tuple[int, int], geometry: ConvGeometry) -> Array:
    """Return dx[n, r, q, c], the sum of g[n, i, j, o] kernel[a, b, c, o] over all (i, j, a, b) that meet pixel (r, q).

    The textbook form spreads g out with zeros between its pixels. Here the pixels of each remainder under the stride,
    which meet only every stride-th tap, come from one small convolution of g, and the results are interleaved.

    Args:
        g: gradient of the output [n, h_out, w_out, o].
        kernel: [kh, kw, c, o].
        size: height and width of the input.
        geometry: of a convolution without groups.
    """
    n, c = g.shape[0], kernel.shape[2]
    (kh, kw), strides = kernel.shape[:2], geometry.strides
    per_axis = [
        {p.remainder: p for p in phases(size[i], (kh, kw)[i], strides[i], geometry.dilation[i], geometry.pads[i][0])}
        for i in range(2)
    ]
    places = [-(-size[i] // strides[i]) for i in range(2)]
    blank = jnp.zeros((n, *places, c), g.dtype)
    blocks = [
        _phase_gradient(g, kernel, rows, columns, places)
        if (rows := per_axis[0].get(a)) and (columns := per_axis[1].get(b))
        else blank
        for a, b in itertools.product(range(strides[0]), range(strides[1]))
    ]
    grid = jnp.stack(blocks, axis=3).reshape(n, *places, *strides, c)
    grid = grid.transpose(0, 1, 3, 2, 4, 5).reshape(n, places[0] * strides[0], places[1] * strides[1], c)
    return grid[:, : size[0], : size[1]]


def _phase_gradient(g: Array, kernel: Array, rows: Phase, columns: Phase, places: list[int]) -> Array:
    """The pixels of one remainder: sum over its taps of g[q - lift] kernel[tap]^T, a convolution with stride 1."""
    part = kernel[jnp.array(rows.taps)][:, jnp.array(columns.taps)]
    pads, dilations = [], []
    for phase, count, available in zip((rows, columns), places, g.shape[1:3], strict=True):
        # Taps of one remainder are evenly spaced, so their lifts are, too.
        step = phase.lifts[1] - phase.lifts[0] if len(phase.lifts) > 1 else 1
        dilations.append(step)
        pads.append((phase.lifts[-1], count - phase.lifts[0] - available))
    flipped = part[::-1, ::-1]
    return lax.conv_general_dilated(
        g, flipped, (1, 1), pads, rhs_dilation=dilations, dimension_numbers=("NHWC", "HWOI", "NHWC")
    )
