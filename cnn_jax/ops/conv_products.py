"""Convolution as matrix products: the two textbook forms, to read and to compare with, differentiated by JAX."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.columns import im2col, tap, wide_padded
from cnn_jax.ops.geometry import ConvGeometry, positions
from cnn_jax.ops.precision import sum_dtype


def im2col_conv(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """One large product: the patches as rows, [places, kh kw c], times the filters as columns, [kh kw c, o]."""

    def convolve(x: Array, kernel: Array) -> Array:
        rows = im2col(x, kernel.shape[:2], geometry.strides, geometry.pads, geometry.dilation)
        return rows @ kernel.reshape(-1, kernel.shape[3])

    return _each_group(convolve, x, kernel, geometry.groups)


def matmul_conv(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """A 1 x 1 convolution for each tap of the filter, of the images shifted by as much; and their sum."""

    def convolve(x: Array, kernel: Array) -> Array:
        window, strides, dilation = (kernel.shape[0], kernel.shape[1]), geometry.strides, geometry.dilation
        out = positions(x.shape[1:3], window, strides, geometry.pads, dilation, "conv2d")
        padded = wide_padded(x, geometry.pads)
        total = jnp.zeros((x.shape[0], *out, kernel.shape[3]), sum_dtype(x))
        for a in range(window[0]):
            for b in range(window[1]):
                shifted = tap(padded, (a, b), out, strides, dilation).astype(x.dtype)
                total += jnp.matmul(shifted, kernel[a, b], preferred_element_type=total.dtype)
        return total.astype(x.dtype)

    return _each_group(convolve, x, kernel, geometry.groups)


def _each_group(convolve: Callable[[Array, Array], Array], x: Array, kernel: Array, groups: int) -> Array:
    """Each part of the channels under its own part of the filters; the maps side by side."""
    parts = zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    return jnp.concatenate([convolve(images, filters) for images, filters in parts], -1)
