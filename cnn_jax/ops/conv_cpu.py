"""The convolution with gradients of its own, for CPUs; other platforms get XLA's.

Which form computes which pass is decided here, by shape alone:

| pass | XLA's own | ours |
|---|---|---|
| forward | always | |
| gradient to the input | stride 1, or groups | strided: `strided_input_gradient` |
| gradient to the kernel | groups; few channels under 5 x 5 and more, or a stride | `weight_gradient` |

oneDNN's 3 x 3 convolutions run at the processor's peak. Winograd's form of them (Lavin and Gray 2015, F(2 x 2, 3 x 3))
multiplies 2.25 times less and moves four times more: from 192 channels on it took 9 % off vgg16's step and nothing off
googlenet's, added to alexnet's, and spreads a NaN to its neighbours; so it is not here.
"""

from functools import partial

import jax
from jax import Array

from cnn_jax.ops.forward_mode import reverse_mode_only
from cnn_jax.ops.geometry import ConvGeometry
from cnn_jax.ops.input_gradient import strided_input_gradient
from cnn_jax.ops.precision import materialize_on_cpu
from cnn_jax.ops.varying import sum_to_vary_as, vary_alike
from cnn_jax.ops.weight_gradient import FOLDED_CHANNELS, weight_gradient
from cnn_jax.ops.xla_conv import transposed_conv, xla_conv


@reverse_mode_only
def conv_custom_vjp(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """XLA's convolution, with gradients that suit a CPU.

    Reverse mode over reverse mode works; forward mode (`jax.jvp`) needs `context(conv="xla")`.
    """
    return _conv(x, kernel, geometry)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    return xla_conv(x, kernel, geometry)


def _forward(x: Array, kernel: Array, geometry: ConvGeometry) -> tuple[Array, tuple[Array, Array]]:
    x = materialize_on_cpu(x)
    return xla_conv(x, kernel, geometry), (x, kernel)


def _backward(geometry: ConvGeometry, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel, g = vary_alike(*saved, materialize_on_cpu(g))
    dx, dkernel = _to_input(geometry, x, kernel, g), _to_kernel(geometry, x, kernel, g)
    return sum_to_vary_as(dx, saved[0]), sum_to_vary_as(dkernel, saved[1])


_conv.defvjp(_forward, _backward)


def _to_input(geometry: ConvGeometry, x: Array, kernel: Array, g: Array) -> Array:
    if geometry.groups > 1 or geometry.strides == (1, 1):
        return transposed_conv(g, kernel, (x.shape[1], x.shape[2]), geometry)
    return strided_input_gradient(g, kernel, (x.shape[1], x.shape[2]), geometry)


def _to_kernel(geometry: ConvGeometry, x: Array, kernel: Array, g: Array) -> Array:
    if geometry.groups > 1 or _has_few_channels(kernel, geometry):
        return jax.linear_transpose(lambda kernel: xla_conv(x, kernel, geometry), kernel)(g)[0]
    return weight_gradient(x, g, (kernel.shape[0], kernel.shape[1]), geometry)


def _has_few_channels(kernel: Array, geometry: ConvGeometry) -> bool:
    """Whether XLA's gradient to the kernel is the faster one, as `experiments/benchmarks/convolutions.py` measures it.

    With oneDNN it takes half the time of ours for LeNet's 5 x 5 filters, and half to all of it for strided 3 x 3 ones
    of few channels, and for AlexNet's stem (21 ms against 36); but mostly longer for 3 x 3 without a stride, for 1 x 1,
    and for ResNet's stem of 7 x 7.
    """
    kh, kw, c, o = kernel.shape
    if geometry.strides == (1, 1):
        return min(kh, kw) >= 5 and c * o <= 2048
    return kh * kw > 1 and (c > FOLDED_CHANNELS or min(kh, kw) > 7) and c * o <= 4096
