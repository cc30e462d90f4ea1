"""The gradient of max pooling: of float32 or bfloat16, on sizes that are known."""

from jax import Array

from cnn_jax.native.call import Form, native_or

type Pair = tuple[int, int]
type Sides = tuple[Pair, Pair]


def max_pool_gradient(form: Form, g: Array, x: Array, window: Pair, strides: Pair, pads: Sides) -> Array:
    """The gradient to images x [n, h, w, c], for the gradient g of the largest numbers of their windows.

    Args:
      form: the same in pure JAX, of the arrays alone; for `native_or`.
    """
    moves = dict(kh=window[0], kw=window[1], sh=strides[0], sw=strides[1], top=pads[0][0], left=pads[1][0])
    return native_or(form, "MaxPoolGradient", x.shape, g, x, **moves)
