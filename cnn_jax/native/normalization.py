"""Batch normalisation in training, with the shortcut and the ReLU behind it, and its gradient: float32 or bfloat16."""

import numpy as np
from jax import Array

from cnn_jax.native.call import Form, several_or


def normalization(
    form: Form, x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool
) -> list[Array]:
    """What x [..., c] is normalised to, plus the shortcut, through the ReLU; and the batch's mean and variance [c].

    Args:
      form: the same in pure JAX, of the arrays that there are.
      scale, bias: [c], of float32.
    """
    results = [(x.shape, x.dtype), *[(scale.shape, np.float32)] * 2]
    arrays = (x, scale, bias) if shortcut is None else (x, scale, bias, shortcut)
    return several_or(form, "Normalization", results, *arrays, epsilon=float(epsilon), relu=int(relu))


def normalization_gradient(form: Form, *arrays: Array, epsilon: float, shortcut: bool) -> list[Array]:
    """The gradient to x, scale and bias, and to a shortcut, where it is another than g.

    Args:
      form: the same in pure JAX, of the arrays.
      arrays: the gradients g, g_mean and g_var of the three results; x, scale, bias, mean, var; and y, if of a ReLU.
      shortcut: whether something was added before the ReLU, whose gradient is wanted.
    """
    x, scale = arrays[3:5]
    results = [(x.shape, x.dtype), *[(scale.shape, np.float32)] * 2, *[(x.shape, x.dtype)] * shortcut]
    return several_or(form, "NormalizationGradient", results, *arrays, epsilon=float(epsilon))
