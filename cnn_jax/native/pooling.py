"""Max pooling and its gradient: of float32 or bfloat16, on sizes that are known."""

from jax import Array

from cnn_jax.native.call import Form, native_or

type Pair = tuple[int, int]
type Sides = tuple[Pair, Pair]


def max_pool(form: Form, x: Array, places: Pair, window: Pair, strides: Pair, pads: Sides) -> Array:
    """The largest numbers of images [n, h, w, c] in so many places.

    Args:
      form: the same in pure JAX, of the arrays alone; for `native_or`.
    """
    return native_or(form, "MaxPool", (x.shape[0], *places, x.shape[3]), x, **_moves(window, strides, pads))


def max_pool_gradient(form: Form, g: Array, x: Array, window: Pair, strides: Pair, pads: Sides) -> Array:
    """The gradient to the images x, for the gradient g of the result."""
    return native_or(form, "MaxPoolGradient", x.shape, g, x, **_moves(window, strides, pads))


def _moves(window: Pair, strides: Pair, pads: Sides) -> dict[str, int]:
    return dict(kh=window[0], kw=window[1], sh=strides[0], sw=strides[1], top=pads[0][0], left=pads[1][0])
