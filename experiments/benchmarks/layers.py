"""Batch normalisation with what follows it, and max pooling: ours, the same without kernels in C++, and XLA's own.

    uv run python experiments/benchmarks/layers.py --dtype bfloat16

Columns as of `convolutions.py`, for layers of ResNet-20 at batch 128, of ResNet-50 and GoogLeNet at batch 16 and of
VGG-16 at batch 8: the pass forward, and both.

On two cores of an AMD EPYC (Zen 3, AVX2), without kernels over ours, both passes, lowest, median and highest: of
normalisations 1.16, 1.67, 2.19 in float32 and 4.58, 6.07, 8.57 in bfloat16; of pools 1.33, 1.53, 1.92 and 2.39, 4.12,
4.98.
"""

import argparse
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from convolutions import CONTENDERS, SWITCH, milliseconds, row

from cnn_jax.cli.allocation import keep_memory
from cnn_jax.ops import batch_norm, context, max_pool

NORMS = (
    "128,32,32,16 128,16,16,32 128,8,8,64 16,112,112,64 16,56,56,64 16,56,56,256 16,28,28,512 16,14,14,256 "
    "16,14,14,1024 16,7,7,2048"
)
# batch, h, w, c : window, stride, padding
POOLS = (
    "16,112,112,64:3,2,1 16,56,56,192:3,2,1 16,28,28,256:3,1,1 16,14,14,512:3,1,1 8,224,224,64:2,2,0 8,56,56,256:2,2,0"
)
type Arrays = tuple[jax.Array, ...]


def normalize(x: jax.Array, *shortcut: jax.Array) -> jax.Array:
    """relu(normalised x + shortcut)."""
    one, zero = jnp.ones(x.shape[-1]), jnp.zeros(x.shape[-1])
    return batch_norm(x, one, zero, zero, one, train=True, shortcut=shortcut[0] if shortcut else None, relu=True)[0]


def layers() -> dict[str, tuple[tuple[int, ...], int, Callable[..., jax.Array]]]:
    """By name: the shape of the arrays, their number and the layer."""

    def pool(moves: str) -> Callable[..., jax.Array]:
        window, stride, padding = map(int, moves.split(","))
        return lambda x: max_pool(x, window, stride, padding)

    def sizes(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(",")))

    norms = {f"{shape} norm, relu": (sizes(shape), 1, normalize) for shape in NORMS.split()}
    added = {f"{shape} norm, shortcut, relu": (sizes(shape), 2, normalize) for shape in NORMS.split()}
    pools = {f"{shape} pool": (sizes(shape.split(":")[0]), 1, pool(shape.split(":")[1])) for shape in POOLS.split()}
    return norms | added | pools


def passes(shape: tuple[int, ...], arrays: int, layer: Callable[..., jax.Array], dtype: str) -> dict[str, tuple]:
    """The pass forward, and both, as functions and their arguments."""
    rng = np.random.default_rng(0)
    given: Arrays = tuple(jnp.asarray(rng.normal(size=shape), dtype) for _ in range(arrays))
    g = jnp.ones(jax.eval_shape(layer, *given).shape, dtype)

    def both(g: jax.Array, *given: jax.Array) -> tuple[jax.Array, Arrays]:
        y, pull = jax.vjp(layer, *given)
        return y, pull(g)

    return {"forward": (layer, given), "both": (both, (g, *given))}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--dtype", default="float32")
    dtype = parser.parse_args().dtype
    keep_memory(["bench"])  # as a training step has it
    print("| layer | pass | ours ms | without kernels | XLA's | without / ours | XLA's / ours |")
    print(f"|{'---|' * 7}")
    for name, layer in layers().items():
        for part, (function, arguments) in passes(*layer, dtype).items():
            times = {}
            for contender, (choice, os.environ[SWITCH]) in CONTENDERS.items():
                with context(conv=choice):
                    times[contender] = milliseconds(function, arguments)
            print(row(name, part, times), flush=True)


if __name__ == "__main__":
    main()
