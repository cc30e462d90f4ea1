"""The gradient of a strided convolution to its input, without the zeros that the textbook form multiplies."""

import itertools

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.geometry import ConvGeometry, Pair
from cnn_jax.ops.phases import Phase, interleave, phases
from cnn_jax.ops.xla_conv import transposed_conv


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
    places = (-(-size[0] // geometry.strides[0]), -(-size[1] // geometry.strides[1]))
    blocks = {
        (row.remainder, column.remainder): _phase_gradient(g, kernel, row, column, places)
        for row, column in itertools.product(*axes)
    }
    return interleave(blocks, geometry.strides, size)


def _phase_gradient(g: Array, kernel: Array, rows: Phase, columns: Phase, places: Pair) -> Array:
    """The pixels of one remainder: sum over its taps of g[q - lift] kernel[tap]^T, the gradient of stride 1."""
    part = kernel[jnp.array(rows.taps)][:, jnp.array(columns.taps)]
    # Taps of one remainder are evenly spaced, so their lifts are, too.
    down, right = (p.lifts[1] - p.lifts[0] if len(p.lifts) > 1 else 1 for p in (rows, columns))
    pads = ((-rows.lifts[0], 0), (-columns.lifts[0], 0))
    return transposed_conv(g, part, places, ConvGeometry((1, 1), pads, (down, right)))
