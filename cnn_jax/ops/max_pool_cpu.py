"""Max pooling for CPUs as a maximum of shifted images, with a gradient of its own.

XLA's gradient on a CPU reduces five arrays at once, the values and their coordinates, and scatters: for 16 images of
112 x 112 x 64 that is 220 ms on each of two cores, here 26.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.native import pooling as native
from cnn_jax.native.call import FEWEST_NUMBERS, fixed, serves
from cnn_jax.ops.columns import tap
from cnn_jax.ops.context import current
from cnn_jax.ops.geometry import Pair, PoolGeometry
from cnn_jax.ops.own_gradient import reverse_mode_only
from cnn_jax.ops.phases import interleave, phases
from cnn_jax.ops.precision import sum_dtype

# Beyond so many taps, the unrolled form grows long to compile and loses its lead.
MOST_TAPS = 25


def xla_max_pool(x: Array, geometry: PoolGeometry) -> Array:
    """XLA's max pooling, differentiated by XLA; widened, so that the gradients of overlapping windows add up wide.

    XLA:CPU (jaxlib 0.12) loses NaN in some windows, 2 x 2 ones of 32 x 32 images among them: they are found apart.
    """
    (kh, kw), (sh, sw) = geometry.window, geometry.strides
    wide = x.astype(sum_dtype(x))
    lowest = np.array(-np.inf, wide.dtype)
    window, strides, pads = (1, kh, kw, 1), (1, sh, sw, 1), ((0, 0), *geometry.pads, (0, 0))
    largest = lax.reduce_window(wide, lowest, lax.max, window, strides, pads)
    holds_nan = lax.reduce_window(jnp.isnan(wide), np.array(False), lax.bitwise_or, window, strides, pads)
    return jnp.where(holds_nan, jnp.nan, largest).astype(x.dtype)


@reverse_mode_only
def max_pool_custom_vjp(x: Array, geometry: PoolGeometry) -> Array:
    """Max pooling in the form that suits a CPU; forward mode needs `context(conv="xla")`."""
    return _max_pool(x, geometry)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: Array, geometry: PoolGeometry) -> Array:
    # In half precision XLA would round after each maximum (16 x 28 x 28 x 256, bfloat16: 16.7 ms against 2.6).
    first, *others = (seen.astype(sum_dtype(x)) for seen in _taps(x, geometry))
    for other in others:
        first = jnp.maximum(first, other)
    return first.astype(x.dtype)


def _forward(x: Array, geometry: PoolGeometry) -> tuple[Array, Array]:
    return _max_pool(x, geometry), x


def _backward(geometry: PoolGeometry, x: Array, g: Array) -> tuple[Array]:
    if not _wins(x):
        return (_gradient(g, x, geometry),)
    form = fixed(_gradient, geometry=geometry)
    return (native.max_pool_gradient(form, g, x, geometry.window, geometry.strides, geometry.pads),)


_max_pool.defvjp(_forward, _backward)


def _wins(x: Array) -> bool:
    """Whether the gradient is left to C++, which is faster, where it is worth a compiler.

    Forward and back, six layers ran at 1.3 to 1.9 times the speed of this in float32, 2.4 to 5.0 times in bfloat16
    (`experiments/benchmarks/layers.py`). The maximum in C++ took 0.5 to 1.5 times as long in float32, 0.8 to 2.5 times
    in bfloat16: that is left to XLA.
    """
    return serves(x) and x.size >= FEWEST_NUMBERS and not current().split_by_jit


def _taps(x: Array, geometry: PoolGeometry) -> list[Array]:
    """What each place of the window sees, row by row; the padding is lower than everything."""
    lowest = np.array(-np.inf, x.dtype)
    padded = lax.pad(x, lowest, ((0, 0, 0), *((low, high, 0) for low, high in geometry.pads), (0, 0, 0)))
    places = itertools.product(range(geometry.window[0]), range(geometry.window[1]))
    return [tap(padded, at, geometry.positions(x), geometry.strides, (1, 1)) for at in places]


def _winners(x: Array, geometry: PoolGeometry) -> Array:
    """The number of the first tap that holds the maximum; a NaN wins, as it does in the maximum."""
    best, *others = _taps(x, geometry)
    winner = jnp.zeros(best.shape, jnp.uint8)
    for number, other in enumerate(others, 1):
        better = ~(other <= best) & ~jnp.isnan(best)
        best = jnp.where(better, other, best)
        winner = jnp.where(better, jnp.uint8(number), winner)
    return winner


def _gradient(g: Array, x: Array, geometry: PoolGeometry) -> Array:
    """dx[r] = sum over the windows that see pixel r of g where r won; pixels of one remainder meet the same taps."""
    size, (rows, columns) = (x.shape[1], x.shape[2]), geometry.positions(x)
    # Behind barriers, winners and phases are written once; one fused loop would find the winners again for each pixel.
    winner = lax.optimization_barrier(_winners(x, geometry))
    axes = [list(phases(size[i], geometry.window[i], geometry.strides[i], 1, geometry.pads[i][0])) for i in range(2)]
    places = [-(-size[i] // geometry.strides[i]) for i in range(2)]
    wide = sum_dtype(g)
    nothing = jnp.zeros((), wide)
    blocks: dict[Pair, Array] = {}
    for row, column in itertools.product(*axes):
        total = jnp.zeros((x.shape[0], *places, x.shape[3]), wide)
        for (a, up), (b, left) in itertools.product(
            zip(row.taps, row.lifts, strict=True), zip(column.taps, column.lifts, strict=True)
        ):
            won = jnp.where(winner == a * geometry.window[1] + b, g.astype(wide), nothing)
            # Place q of the phase reads the output at q - lift; a pad moves it there and cuts what is outside.
            moves = [(up, places[0] - rows - up, 0), (left, places[1] - columns - left, 0)]
            total = total + lax.pad(won, nothing, ((0, 0, 0), *moves, (0, 0, 0)))
        blocks[row.remainder, column.remainder] = total.astype(g.dtype)
    return interleave(lax.optimization_barrier(blocks), geometry.strides, size)
