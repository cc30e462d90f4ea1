"""The convolution with gradients of its own, for CPUs; other platforms get XLA's.

Which form computes which pass is decided here, by shape alone:

| pass | in C++ (`native/`) | in JAX | XLA's own |
|---|---|---|---|
| forward | `_products_win` | | else |
| gradient to the input | `_products_win` | strided: `strided_input_gradient` | stride 1, or groups |
| gradient to the kernel | `_sums_win` | `weight_gradient` | groups; few channels under 5 x 5, or with a stride |

oneDNN's 3 x 3 convolutions run at the processor's peak. Winograd's form of them (Lavin and Gray 2015, F(2 x 2, 3 x 3))
multiplies 2.25 times less and moves four times more: from 192 channels on it took 9 % off vgg16's step and nothing off
googlenet's, added to alexnet's, and spreads a NaN to its neighbours; so it is not here.
"""

import math
from functools import partial

import jax
from jax import Array

from cnn_jax.native import convolution as native
from cnn_jax.native.build import multiplies_bfloat16
from cnn_jax.native.call import fixed, serves
from cnn_jax.ops.context import current
from cnn_jax.ops.geometry import ConvGeometry, Pair, positions
from cnn_jax.ops.input_gradient import strided_input_gradient
from cnn_jax.ops.own_gradient import reverse_mode_only, sum_to_vary_as, vary_alike
from cnn_jax.ops.precision import is_half, materialize_on_cpu
from cnn_jax.ops.weight_gradient import weight_gradient
from cnn_jax.ops.xla_conv import transposed_conv, xla_conv, xla_weight_gradient

# Products of a pass from which on it is left to C++; half as many in a first layer, where XLA takes longer over each:
# of 5 x 5 filters from 1 channel to 6, 15 million take XLA 12 ms and C++ 1.6 (from 6 to 16 channels, 1.6 and 0.6). With
# these lenet5 ran at 1.4 times the speed.
FEWEST_PRODUCTS = 1 << 24
FIRST_LAYER_CHANNELS = 4


@reverse_mode_only
def conv_custom_vjp(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    """XLA's convolution, with gradients that suit a CPU.

    Reverse mode over reverse mode works; forward mode (`jax.jvp`) needs `context(conv="xla")`.
    """
    return _conv(x, kernel, geometry)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    return _places(x, kernel, geometry)


def _forward(x: Array, kernel: Array, geometry: ConvGeometry) -> tuple[Array, tuple[Array, Array]]:
    x = materialize_on_cpu(x)
    return _places(x, kernel, geometry), (x, kernel)


def _backward(geometry: ConvGeometry, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel, g = vary_alike(*saved, materialize_on_cpu(g))
    dx, dkernel = _to_input(geometry, x, kernel, g), _to_kernel(geometry, x, kernel, g)
    return sum_to_vary_as(dx, saved[0]), sum_to_vary_as(dkernel, saved[1])


_conv.defvjp(_forward, _backward)


def _places(x: Array, kernel: Array, geometry: ConvGeometry) -> Array:
    if not _products_win(x, kernel.shape, geometry):
        return xla_conv(x, kernel, geometry)
    form = fixed(xla_conv, geometry=geometry)
    return native.convolution(form, x, kernel, _out(x, kernel.shape, geometry), geometry.strides, geometry.pads)


def _to_input(geometry: ConvGeometry, x: Array, kernel: Array, g: Array) -> Array:
    size, dense = (x.shape[1], x.shape[2]), geometry.groups > 1 or geometry.strides == (1, 1)
    form = fixed(transposed_conv if dense else strided_input_gradient, size=size, geometry=geometry)
    if _products_win(x, kernel.shape, geometry):
        return native.to_images(form, g, kernel, size, geometry.strides, geometry.pads)
    return form(g, kernel)


def _to_kernel(geometry: ConvGeometry, x: Array, kernel: Array, g: Array) -> Array:
    window, xla = (kernel.shape[0], kernel.shape[1]), geometry.groups > 1 or _has_few_channels(kernel, geometry)
    form = fixed(xla_weight_gradient if xla else weight_gradient, window=window, geometry=geometry)
    if _sums_win(x, kernel.shape, geometry):
        return native.to_filters(form, x, g, window, geometry.strides, geometry.pads)
    return form(x, g)


def _products_win(x: Array, kernel: tuple[int, ...], geometry: ConvGeometry) -> bool:
    """Whether the convolution and its gradient to the images are faster in C++, or as fast and without a copy.

    Of more channels oneDNN's are as fast or faster, in bfloat16 as well, but for 1 x 1, whose matrix product XLA takes
    in float32 from copies of both sides (16 x 56 x 56, 64 to 256 channels: 41 ms against 12).
    """
    kh, kw, c, o = kernel
    few = min(c, o) <= 32 or (is_half(x) and kh * kw == 1)
    return (few or _has_fast_products(x)) and _worth_a_compiler(x, kernel, geometry)


def _sums_win(x: Array, kernel: tuple[int, ...], geometry: ConvGeometry) -> bool:
    """Whether the gradient to the kernel is faster in C++: where its sums stay in a core's cache.

    Else, and for 1 x 1, XLA's matrix product is as fast or faster (192 to 96 channels: 5.5 ms against 6.7).
    """
    kh, kw, c, o = kernel
    small = math.prod(kernel) < 1 << 18 and (kh * kw > 1 or min(c, o) <= 64)
    return (small or _has_fast_products(x)) and _worth_a_compiler(x, kernel, geometry)


def _has_fast_products(x: Array) -> bool:
    """Whether C++ has instructions of the processor that multiply bfloat16 (`native/pairs.h`, `native/tiles.h`).

    XLA reaches them through oneDNN, with copies before and after: in a study of such kernels on a processor with AMX,
    some of BatchNorm and pooling among them, a step of ResNet-50 took 0.7 of the time. These were not run on one.
    """
    return is_half(x) and multiplies_bfloat16()


def _worth_a_compiler(x: Array, kernel: tuple[int, ...], geometry: ConvGeometry) -> bool:
    """Whether C++ serves a convolution, and takes a millisecond or so: a first small network waits for no compiler.

    Not of rows that plain jit splits over devices: what the forms in JAX do then, they learn from the context.
    """
    if current().split_by_jit or geometry.groups > 1 or geometry.dilation != (1, 1) or not serves(x):
        return False
    fewest = FEWEST_PRODUCTS // 2 if kernel[2] <= FIRST_LAYER_CHANNELS else FEWEST_PRODUCTS
    return x.shape[0] * math.prod(_out(x, kernel, geometry)) * math.prod(kernel) >= fewest


def _out(x: Array, kernel: tuple[int, ...], geometry: ConvGeometry) -> Pair:
    window = (kernel[0], kernel[1])
    return positions(x.shape[1:3], window, geometry.strides, geometry.pads, geometry.dilation, "conv2d")


def _has_few_channels(kernel: Array, geometry: ConvGeometry) -> bool:
    """Whether XLA's gradient to the kernel is the faster one, as `experiments/benchmarks/convolutions.py` measures it.

    With oneDNN it takes half the time of ours for LeNet's 5 x 5 filters, and half to all of it for strided 3 x 3 ones
    of few channels, and for AlexNet's stem (21 ms against 36); but mostly longer for 3 x 3 without a stride, for 1 x 1,
    and for ResNet's stem of 7 x 7.
    """
    kh, kw, c, o = kernel.shape
    if geometry.strides == (1, 1):
        return min(kh, kw) >= 5 and c * o <= 2048
    return kh * kw > 1 and (c > FIRST_LAYER_CHANNELS or min(kh, kw) > 7) and c * o <= 4096
