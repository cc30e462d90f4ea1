"""The three passes of a convolution: of float32 or bfloat16, without groups or dilation, on sizes that are known."""

from jax import Array

from cnn_jax.native.call import Form, native_or

type Pair = tuple[int, int]
type Sides = tuple[Pair, Pair]


def convolution(form: Form, x: Array, kernel: Array, places: Pair, strides: Pair, pads: Sides) -> Array:
    """The convolution of images [n, h, w, c] with a kernel [kh, kw, c, o], at so many places.

    Args:
      form: the same in pure JAX, of the arrays alone; for `native_or`.
    """
    shape = (x.shape[0], *places, kernel.shape[3])
    return native_or(form, "Convolution", shape, x, kernel, **_moves(strides, pads))


def to_images(form: Form, g: Array, kernel: Array, size: Pair, strides: Pair, pads: Sides) -> Array:
    """The gradient to images of height and width `size`, for the gradient g of the result."""
    shape = (g.shape[0], *size, kernel.shape[2])
    return native_or(form, "ToImages", shape, g, kernel, **_moves(strides, pads))


def to_filters(form: Form, x: Array, g: Array, window: Pair, strides: Pair, pads: Sides) -> Array:
    """The gradient to a kernel of height and width `window`, for the gradient g of the result."""
    shape = (*window, x.shape[3], g.shape[3])
    return native_or(form, "ToFilters", shape, x, g, **_moves(strides, pads))


def _moves(strides: Pair, pads: Sides) -> dict[str, int]:
    return dict(sh=strides[0], sw=strides[1], top=pads[0][0], left=pads[1][0])
