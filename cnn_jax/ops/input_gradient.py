"""The gradient of a strided convolution to its input, without the zeros that the textbook form multiplies."""

import itertools

import jax.numpy as jnp
from jax import Array, lax

from .geometry import ConvGeometry, Pair
from .phases import Phase, interleave, phases


def strided_input_gradient(g: Array, kernel: Array, size: Pair, geometry: ConvGeometry) -> Array:
    """Return dx[n, r, q, c], the sum of g[n, i, j, o] kernel[a, b, c, o] over all (i, j, a, b) that meet pixel (r, q).

    The textbook form spreads g out with zeros between its pixels. Here the pixels of each remainder under the stride,
    which meet only every stride-th tap, come from one small convolution of g, and the results are interleaved.

    Args:
        g: gradient of the output [n, h_out, w_out, o].
        kernel: [kh, kw, c, o].
        size: height and width of the input.
        geometry: of a convolution without groups.
    """
    axes = [
        list(phases(size[i], kernel.shape[i], geometry.strides[i], geometry.dilation[i], geometry.pads[i][0]))
        for i in range(2)
    ]
    if not axes[0] or not axes[1]:  # every tap stays in the padding
        return jnp.zeros((g.shape[0], *size, kernel.shape[2]), g.dtype)
    places = [-(-size[i] // geometry.strides[i]) for i in range(2)]
    blocks = {
        (row.remainder, column.remainder): _phase_gradient(g, kernel, row, column, places)
        for row, column in itertools.product(*axes)
    }
    return interleave(blocks, geometry.strides, size)


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
