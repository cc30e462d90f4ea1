"""The gradient of a convolution to its kernel, as matrix products of image rows and rows of the output's gradient.

XLA lowers this gradient as a convolution whose window is the whole image, after transposing both operands; on a CPU
that is mostly slower than the products here, which read the images as they lie.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.context import current, even_split, in_parts
from cnn_jax.ops.geometry import ConvGeometry, Pair
from cnn_jax.ops.own_gradient import vary_alike
from cnn_jax.ops.phases import Phase, phases
from cnn_jax.ops.precision import sum_dtype

# Rows of the two matrices that one step of the loop multiplies: 2048 rows of 200 numbers stay in the cache, where one
# product over the whole batch writes its columns to fresh memory (32 x 32 x 16 images, batch 128: 9 ms against 35 ms),
# and for 1 x 1 a transposed copy (resnet50, batch 16: 2.58 s a step against 2.50).
BLOCK_ROWS = 2048
# Up to so many numbers in both matrices there is no loop, which takes longer to compile and gains nothing.
SMALL = 1 << 22


def weight_gradient(x: Array, g: Array, window: Pair, geometry: ConvGeometry) -> Array:
    """Return dkernel[a, b, c, o] = sum over (n, i, j) of x[n, i s + a d - top, j s + b d - left, c] g[n, i, j, o].

    The taps are shifts, and shifts are copies: those to the side lie next to each other on the images, [rows, kw c],
    those up and down on the gradient, [rows, kh o], and one product of the two, [kw c, kh o], holds every tap. Where
    the images have few channels, as in the first layer, all shifts on the images (im2col) copy less. With a stride,
    the image rows of each remainder meet their own taps.

    Args:
      x: images [n, h, w, c].
      g: gradient of the output [n, h_out, w_out, o].
      window: height and width of the kernel.
      geometry: of a convolution without groups.
    """
    split = even_split(current().batch, x.shape[0])
    if split is None:
        known = isinstance(x.shape[0], int)  # and not a symbol of `jax.export`
        return _weight_gradient(x, g, window, geometry, loop=known and jax.device_count() == 1)
    # Each device loops over its own rows; their gradients meet once, at the end.
    own = jax.vmap(lambda x, g: _weight_gradient(x, g, window, geometry, loop=True))
    parts = own(in_parts(x, split), in_parts(g, split))
    return jnp.sum(lax.with_sharding_constraint(parts, split), 0)


def _weight_gradient(x: Array, g: Array, window: Pair, geometry: ConvGeometry, *, loop: bool) -> Array:
    """The gradient of the rows at hand.

    No `loop` where they may lie on several devices, whose sums would meet in every turn, or where their number is not
    known.
    """
    c, o = x.shape[3], g.shape[3]
    (kh, kw), (stride_h, stride_w) = window, geometry.strides
    (top, _), (left, _) = geometry.pads
    shift_images = kh * kw * c < kw * c + kh * o
    taps: dict[int, Array] = {}
    for phase in phases(x.shape[1], kh, stride_h, geometry.dilation[0], top):
        rows = x[:, phase.remainder :: stride_h]
        align = _shifts_on_images if shift_images else _shifts_on_gradient
        products = _sum_of_products(*align(rows, g, phase), kw, stride_w, geometry.dilation[1], left, loop)
        # One of the two shift axes has size 1; [shift of x, columns, shift of g, o] -> [tap, columns, o].
        products = jnp.moveaxis(products, 2, 1).reshape(len(phase.taps), kw, c, o)
        taps |= dict(zip(phase.taps, products, strict=True))
    missing = jnp.zeros((kw, c, o), x.dtype)  # taps that never leave the padding
    return jnp.stack([taps.get(a, missing) for a in range(kh)])


def _pad(x: Array, *, rows: tuple[int, int] = (0, 0), columns: tuple[int, int] = (0, 0)) -> Array:
    """Zeros around the images [n, h, w, c], padded as rows of w c numbers.

    XLA asks of each run of numbers whether it is padding, and c of them are a short one: as [n, h, w, c] it takes three
    to eight times as long (128 x 32 x 32 x 16, bfloat16: 0.53 ms against 0.06).
    """
    n, h, w, c = x.shape
    padded = jnp.pad(x.reshape(n, h, w * c), ((0, 0), rows, tuple(c * extra for extra in columns)))
    return padded.reshape(n, h + sum(rows), w + sum(columns), c)


type Aligned = tuple[Array, tuple[int, ...], Array, tuple[int, ...], int]


def _shifts_on_gradient(x: Array, g: Array, phase: Phase) -> Aligned:
    """Each image row q beside the output rows q - lift."""
    above, below = max(*phase.lifts, 0), max(phase.size - min(phase.lifts) - g.shape[1], 0)
    g = _pad(g, rows=(above, below))
    return x, (0,), g, tuple(above - lift for lift in phase.lifts), phase.size


def _shifts_on_images(x: Array, g: Array, phase: Phase) -> Aligned:
    """Each output row i beside the image rows i + lift."""
    above, below = max(-min(phase.lifts), 0), max(g.shape[1] + max(phase.lifts) - phase.size, 0)
    x = _pad(x, rows=(above, below))
    return x, tuple(above + lift for lift in phase.lifts), g, (0,), g.shape[1]


def _sum_of_products(
    x: Array,
    x_shifts: tuple[int, ...],
    g: Array,
    g_shifts: tuple[int, ...],
    count: int,
    kw: int,
    stride: int,
    dilation: int,
    left: int,
    loop: bool,
) -> Array:
    """Sum over q < count of columns(x[:, q + shift])^T g[:, q + shift], shape [x_shifts, kw c, g_shifts, o].

    The images lack `left` columns of zeros in front, and as many behind as the last window needs.
    """
    n, w_out, o = g.shape[0], g.shape[2], g.shape[3]
    reach = (kw - 1) * dilation + (w_out - 1) * stride + 1
    sides = (left, max(reach - left - x.shape[2], 0))
    numbers = n * count * w_out * (len(x_shifts) * kw * x.shape[3] + len(g_shifts) * o)
    block = _block(count, n * w_out) if loop and numbers > SMALL else count

    # Once and for all rows: padded within the loop, every shift asks of each number whether it is padding, which took
    # three times as long as copying it (resnet20, bfloat16: 300 ms a step against 235).
    x = lax.optimization_barrier(_pad(x, columns=sides))

    def product(x_rows: Array, g_rows: Array) -> Array:
        rows = [x_rows[:, shift : shift + block] for shift in x_shifts]
        columns = [row[:, :, b * dilation :: stride][:, :, :w_out] for row in rows for b in range(kw)]
        gradient = [g_rows[:, shift : shift + block] for shift in g_shifts]
        # Behind a barrier, each side is written once; else the product's packing would recompute it. Updates in place
        # of buffers that the loop carries copy once less, but on one core (resnet20: 4 % slower).
        left_side, right_side = lax.optimization_barrier((jnp.concatenate(columns, -1), jnp.concatenate(gradient, -1)))
        # As plain matrices: asked to sum over n, h and w, XLA copies both, one of them transposed (resnet20: 290 ms a
        # step against 272).
        return left_side.reshape(-1, left_side.shape[3]).T @ right_side.reshape(-1, right_side.shape[3])

    def step(total: Array, q: Array) -> tuple[Array, None]:
        x_rows = lax.dynamic_slice_in_dim(x, q, max(x_shifts) + block, 1)
        g_rows = lax.dynamic_slice_in_dim(g, q, max(g_shifts) + block, 1)
        return total + product(x_rows, g_rows).astype(total.dtype), None

    if block == count:
        total = product(x, g)
    else:
        start, *_ = vary_alike(jnp.zeros((len(x_shifts) * kw * x.shape[3], len(g_shifts) * o), sum_dtype(x)), x, g)
        total = lax.scan(step, start, jnp.arange(0, count, block))[0].astype(x.dtype)
    return total.reshape(len(x_shifts), kw * x.shape[3], len(g_shifts), o)


def _block(count: int, places: int) -> int:
    """Image rows per step of the loop over `count`: a divisor of their number, so that every step is alike."""
    fits = (rows for rows in range(1, count + 1) if count % rows == 0 and rows * places <= BLOCK_ROWS)
    return max(fits, default=1)
