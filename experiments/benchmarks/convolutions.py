"""Each pass of a convolution, ours beside XLA's own: what the choices in `cnn_jax/ops/conv_cpu.py` were measured with.

    uv run python experiments/benchmarks/convolutions.py                     shapes of the networks here
    uv run python experiments/benchmarks/convolutions.py --unseen 20         shapes that no choice was made on
    uv run python experiments/benchmarks/convolutions.py 16,56,56,64:3,64,1  batch, h, w, c : window, filters, stride

Prints the processor's milliseconds a core, which other programs on the machine disturb less than the clock, compiled
with the options that training steps are compiled with: of our convolution, of the same without kernels in C++
(`CNN_JAX_NATIVE=0`), and of XLA's own; then the ratios of both to the first, above 1 where it is faster. Where two
leave a pass to XLA the programs are the same, and the ratio shows the noise.

On the 20 unseen shapes, the three passes together: 0.93 to 2.12, median 1.20, over ours without kernels; 1.01 to 5.11,
median 1.73, over XLA's own (one run, two cores of an AMD EPYC, Zen 3, AVX2).
"""

import argparse
import os
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.native.build import SWITCH
from cnn_jax.ops import context, conv2d
from cnn_jax.parallel.compile import compiler_options

NETWORKS = (
    "128,32,32,16:3,16,1 128,32,32,16:3,32,2 128,16,16,32:3,32,1 128,8,8,64:3,64,1 128,28,28,1:5,6,1 "
    "16,224,224,3:7,64,2 16,224,224,3:11,64,4 16,56,56,64:3,64,1 16,56,56,64:1,256,1 16,28,28,128:3,128,1 "
    "16,14,14,256:3,256,1"
)


def unseen(count: int) -> list[str]:
    """Random shapes, the same each time."""
    rng = np.random.default_rng(7)
    shapes = []
    for _ in range(count):
        size, c, filters = int(rng.integers(6, 65)), int(rng.integers(2, 97)), int(rng.integers(2, 97))
        shapes.append(
            f"{rng.integers(2, 33)},{size},{size},{c}:{rng.choice([1, 3, 3, 5])},{filters},{rng.choice([1, 1, 2])}"
        )
    return shapes


def passes(shape: str, dtype: str) -> dict[str, tuple[Callable[..., jax.Array], tuple[jax.Array, ...]]]:
    """The three passes of a convolution with padding that keeps the size, as functions and their arguments."""
    image, filters = (tuple(map(int, part.split(","))) for part in shape.split(":"))
    window, features, stride = filters
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=image), dtype)
    kernel = jnp.asarray(rng.normal(size=(window, window, image[3], features)), dtype)

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return conv2d(x, kernel, strides=stride, padding=window // 2)

    g = jnp.ones(jax.eval_shape(convolve, x, kernel).shape, dtype)
    return {
        "forward": (convolve, (x, kernel)),
        "input": (lambda x, kernel, g: jax.vjp(convolve, x, kernel)[1](g)[0], (x, kernel, g)),
        "kernel": (lambda x, kernel, g: jax.vjp(convolve, x, kernel)[1](g)[1], (x, kernel, g)),
    }


def milliseconds(function: Callable[..., jax.Array], arguments: tuple[jax.Array, ...], repeats: int = 5) -> float:
    """The processor's time of a call, divided by the cores, in the fastest run."""
    # A new function each time: jit remembers by identity what it compiled.
    compiled = (
        jax.jit(lambda *a: function(*a), compiler_options=compiler_options(str(arguments[0].dtype)))
        .lower(*arguments)
        .compile()
    )
    jax.block_until_ready(compiled(*arguments))
    start = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    # A short pass often enough for the clock: one of half a millisecond alone came out up to twice as long.
    calls = 1 + int(0.02 / (time.perf_counter() - start))
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(calls):
            jax.block_until_ready(compiled(*arguments))
        times.append(1e3 * (time.process_time() - start) / (os.cpu_count() or 1) / calls)
    return min(times)


# What is compared: the context, and the kernels' switch.
CONTENDERS = {"ours": ("auto", ""), "without": ("auto", "0"), "xla": ("xla", "0")}


def row(shape: str, name: str, times: dict[str, float]) -> str:
    """A line of the table."""
    ours, without, xla = times.values()
    return f"| {shape} | {name} | {ours:.2f} | {without:.2f} | {xla:.2f} | {without / ours:.2f} | {xla / ours:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("shapes", nargs="*", default=NETWORKS.split())
    parser.add_argument("--unseen", type=int, help="so many random shapes instead")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    print("| shape | pass | ours ms | without kernels | XLA's | without / ours | XLA's / ours |")
    print(f"|{'---|' * 7}")
    for shape in unseen(given.unseen) if given.unseen else given.shapes:
        together = dict.fromkeys(CONTENDERS, 0.0)
        for name, (function, arguments) in passes(shape, given.dtype).items():
            times = {}
            for contender, (choice, os.environ[SWITCH]) in CONTENDERS.items():
                with context(conv=choice):
                    times[contender] = milliseconds(function, arguments)
                together[contender] += times[contender]
            print(row(shape, name, times), flush=True)
        print(row(shape, "together", together), flush=True)


if __name__ == "__main__":
    main()
