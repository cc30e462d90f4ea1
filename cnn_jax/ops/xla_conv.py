"""XLA's convolution and its gradient to the images, kept off the programs that its CPU compilers get wrong.

All convolutions of this package that reach the compiler start here. What is known of jaxlib 0.12's XLA:CPU and of the
oneDNN in it, and how each kind is avoided:

| kind of convolution | what happens | here |
|---|---|---|
| one output place along an axis with a stride | bfloat16 (AMX) and float32 (AVX-512): garbage | stride 1 (`settled`) |
| half precision; a window, or a tap at all places, sees padding alone | the process dies | zeros written out |
| gradient to the images; 2 taps, stride 2, 1 pixel of padding | a failed check ends the process | zeros written out |
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.ops.geometry import ConvGeometry, Pair, positions, span
from cnn_jax.ops.own_gradient import vary_alike
from cnn_jax.ops.precision import is_half

type Sides = tuple[Pair, Pair]


def settled(x: Array, kernel: Array, geometry: ConvGeometry) -> tuple[Array, ConvGeometry] | None:
    """The same convolution without a stride or a dilation that means nothing; None where every product is zero.

    With one place, an axis needs no stride, and the image no pixels beyond the window; with one tap, no dilation.
    """
    window, size = (kernel.shape[0], kernel.shape[1]), (x.shape[1], x.shape[2])
    out = positions(size, window, geometry.strides, geometry.pads, geometry.dilation, "conv2d")
    if 0 in x.shape or 0 in kernel.shape:
        return None
    strides, pads, dilation, cut = list(geometry.strides), list(geometry.pads), list(geometry.dilation), [0, 0]
    for i in range(2):
        if window[i] == 1:
            dilation[i] = 1
        if out[i] == 1 and strides[i] > 1:
            strides[i], low = 1, pads[i][0]
            if span(window[i], dilation[i]) <= low:
                return None
            high = span(window[i], dilation[i]) - size[i] - low
            pads[i], cut[i] = (low, max(high, 0)), max(-high, 0)
    if any(cut):
        x = x[:, : size[0] - cut[0], : size[1] - cut[1]]
    return x, ConvGeometry((strides[0], strides[1]), (pads[0], pads[1]), (dilation[0], dilation[1]), geometry.groups)


def xla_conv_with_its_gradients(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """XLA's convolution, to be differentiated by JAX in any mode.

    The program of its gradient to the images is one of those that the compilers get right, too.

    In half precision the pixels that no window sees are left out beforehand, behind the last one and between windows of
    one tap. Where the gradient's windows would see holes alone all the same (a stride beyond the window, a wide
    dilation), the convolution is the transpose of `transposed_conv`: of stride 1, and most of it thrown away.
    """
    if not is_half(x) or not _gradient_sees_padding_alone(x, kernel, geometry):
        return xla_conv(x, kernel, geometry)
    x, geometry = _framed(x, kernel, geometry)
    if not _gradient_sees_padding_alone(x, kernel, geometry):
        return xla_conv(x, kernel, geometry)
    size, window = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1])
    out = positions(size, window, geometry.strides, geometry.pads, geometry.dilation, "conv2d")
    y = jax.ShapeDtypeStruct((x.shape[0], *out, kernel.shape[3]), x.dtype)
    return jax.linear_transpose(lambda g: transposed_conv(g, kernel, size, geometry), y)(x)[0]


def _framed(x: Array, kernel: Array, geometry: ConvGeometry) -> tuple[Array, ConvGeometry]:
    """The same convolution of the pixels from the first window's to the last's, padding included, and of no others."""
    window, size, strides = (kernel.shape[0], kernel.shape[1]), (x.shape[1], x.shape[2]), list(geometry.strides)
    out = positions(size, window, geometry.strides, geometry.pads, geometry.dilation, "conv2d")
    lows = [low for low, _ in geometry.pads]
    ends = [(out[i] - 1) * strides[i] + span(window[i], geometry.dilation[i]) - size[i] - lows[i] for i in range(2)]
    x = x[:, : size[0] + min(ends[0], 0), : size[1] + min(ends[1], 0)]
    if any(lows) or max(ends) > 0:
        x = _written_out(x, ((lows[0], max(ends[0], 0)), (lows[1], max(ends[1], 0))))
    between = [strides[i] if window[i] == 1 else 1 for i in range(2)]
    x = x[:, :: between[0], :: between[1]]
    strides = [strides[i] // between[i] for i in range(2)]
    return x, ConvGeometry((strides[0], strides[1]), ((0, 0), (0, 0)), geometry.dilation, geometry.groups)


def xla_conv(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """XLA's convolution of what `settled` gives; its gradient to the images is for `transposed_conv` to take."""
    window, size = (kernel.shape[0], kernel.shape[1]), (x.shape[1], x.shape[2])
    strides, pads, dilation = geometry.strides, geometry.pads, geometry.dilation
    out = positions(size, window, strides, pads, dilation, "conv2d")
    if is_half(x) and _sees_padding_alone(size, window, strides, pads, dilation, out):
        # As far as the windows go and no further, so that the gradient to the kernel finds nothing to cut.
        ends = [(out[i] - 1) * strides[i] + span(window[i], dilation[i]) - size[i] - pads[i][0] for i in range(2)]
        x, pads = _written_out(x, ((pads[0][0], ends[0]), (pads[1][0], ends[1]))), ((0, 0), (0, 0))
    elif any(window[i] == strides[i] == 2 and pads[i][0] == 1 for i in range(2)):
        x, pads = _written_out(x, ((pads[0][0], 0), (pads[1][0], 0))), ((0, pads[0][1]), (0, pads[1][1]))
    return plain_conv(x, kernel, ConvGeometry(strides, pads, dilation, geometry.groups))


def plain_conv(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """XLA's convolution as it is, for platforms other than CPUs."""
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.strides,
        geometry.pads,
        rhs_dilation=geometry.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=geometry.groups,
    )


def transposed_conv(g: Array, kernel: Array, size: Pair, geometry: ConvGeometry) -> Array:
    """The gradient to images of this size: the convolution of g, spread by the strides, with the flipped kernel.

    Args:
      g: gradient of the output [n, h_out, w_out, o].
      kernel: [kh, kw, c / groups, o].
      size: height and width of the images.
    """
    strides, dilation, groups = geometry.strides, geometry.dilation, geometry.groups
    window, out = (kernel.shape[0], kernel.shape[1]), (g.shape[1], g.shape[2])
    pads = _transposed_pads(window, out, size, geometry)
    if groups > 1:  # [kh, kw, c / groups, o] -> [kh, kw, c, o / groups]
        kh, kw, c, o = kernel.shape
        kernel = kernel.reshape(kh, kw, c, groups, o // groups)
        kernel = kernel.transpose(0, 1, 3, 2, 4).reshape(kh, kw, groups * c, o // groups)
    alone = is_half(g) and _transposed_sees_padding_alone(window, out, size, geometry)
    if alone or any(window[i] == strides[i] == 2 and pads[i] == (0, 0) for i in range(2)):
        g, pads, strides = _written_out(g, pads, strides), ((0, 0), (0, 0)), (1, 1)
    return lax.conv_general_dilated(
        g,
        kernel[::-1, ::-1],
        (1, 1),
        pads,
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
        feature_group_count=groups,
    )


def xla_weight_gradient(x: Array, g: Array, window: Pair, geometry: ConvGeometry) -> Array:
    """The gradient to the kernel as XLA derives it: a convolution whose window is the whole image."""
    kernel = jnp.zeros((*window, x.shape[3] // geometry.groups, g.shape[3]), x.dtype)
    # Of one kernel for all devices, the gradient would be their sum already.
    kernel, x, g = vary_alike(kernel, x, g)
    return jax.linear_transpose(lambda kernel: xla_conv(x, kernel, geometry), kernel)(g)[0]


def _transposed_pads(window: Pair, out: Pair, size: Pair, geometry: ConvGeometry) -> Sides:
    """The padding around the spread gradient of the output; negative where pixels of it are seen by no image pixel."""
    lows = [span(window[i], geometry.dilation[i]) - 1 - geometry.pads[i][0] for i in range(2)]
    highs = [size[i] - 1 - (out[i] - 1) * geometry.strides[i] + geometry.pads[i][0] for i in range(2)]
    return (lows[0], highs[0]), (lows[1], highs[1])


def _transposed_sees_padding_alone(window: Pair, out: Pair, size: Pair, geometry: ConvGeometry) -> bool:
    pads = _transposed_pads(window, out, size, geometry)
    return min(map(min, pads)) < 0 or _sees_padding_alone(
        out, window, (1, 1), pads, geometry.dilation, size, geometry.strides
    )


def _gradient_sees_padding_alone(x: Array, kernel: Array, geometry: ConvGeometry) -> bool:
    window, size = (kernel.shape[0], kernel.shape[1]), (x.shape[1], x.shape[2])
    out = positions(size, window, geometry.strides, geometry.pads, geometry.dilation, "conv2d")
    return _transposed_sees_padding_alone(window, out, size, geometry)


def _written_out(x: Array, pads: Sides, spread: Pair = (1, 1)) -> Array:
    """The images with their padding, and zeros between their pixels, as values, which XLA does not take back."""
    edges = [(low, high, between - 1) for (low, high), between in zip(pads, spread, strict=True)]
    return lax.optimization_barrier(lax.pad(x, np.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0))))


def _sees_padding_alone(
    size: Pair, window: Pair, strides: Pair, pads: Sides, dilation: Pair, out: Pair, spread: Pair = (1, 1)
) -> bool:
    """Whether some window sees no pixel, or some tap none at any place; `spread` is the distance of pixels."""
    return any(_misses(size[i], window[i], strides[i], pads[i][0], dilation[i], out[i], spread[i]) for i in range(2))


@lru_cache(maxsize=4096)
def _misses(size: int, window: int, stride: int, low: int, dilation: int, out: int, spread: int) -> bool:
    at = np.arange(out)[:, None] * stride + np.arange(window) * dilation - low
    meets = (at % spread == 0) & (at >= 0) & (at // spread < size)
    return not (meets.any(0).all() and meets.any(1).all())
