"""What to ask of XLA when it compiles a step for a CPU."""

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.compilation_cache import compilation_cache

# jaxlib contains oneDNN: with the first option, convolutions and large products go to it (3 x 3, 64 channels, 56 x 56:
# 160 -> 200 GFLOP/s; 16 channels, 32 x 32: 100 -> 160). The second keeps sums such as BatchNorm's off a very slow path
# that the first would put them on. Both are experimental, hence the check. What XLA still generates itself
# are loops that wait for memory: optimised less they are as fast, and compile in two thirds of the time.
ONEDNN: dict[str, Any] = {
    "xla_cpu_experimental_onednn_custom_call": True,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
    "xla_backend_optimization_level": 1,
}


@functools.cache
def compiler_options() -> dict[str, Any] | None:
    """The `compiler_options` for `jax.jit` of a step: oneDNN on a CPU where it is known and right; else None.

    The first call compiles a tiny convolution with them and compares it with NumPy; a compiler that does not know an
    option, or computes something else, is left as it is, with a warning.
    """
    return checked(ONEDNN) if jax.default_backend() == "cpu" else None


def compile_step(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """A lowered step, compiled with `compiler_options`."""
    options = compiler_options()
    if options is None:
        return lowered.compile()
    with without_cache():
        return lowered.compile(compiler_options=options)


def checked(options: dict[str, Any]) -> dict[str, Any] | None:
    """The options, if a convolution and a sum compiled with them are right; else None and a warning."""
    try:
        with without_cache():
            right = _convolves_rightly(options)
    except jax.errors.JaxRuntimeError as error:
        right, why = False, str(error).splitlines()[0]
    else:
        why = "a convolution came out wrong"
    if right:
        return options
    warnings.warn(f"compiling without {', '.join(options)}: {why}; steps will be slower.", stacklevel=2)
    return None


@contextmanager
def without_cache() -> Iterator[None]:
    """Compile afresh: for timing, and for programs with oneDNN calls, which XLA cannot write to its cache on disk."""
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # it remembers whether it is in use
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


def _convolves_rightly(options: dict[str, Any]) -> bool:
    """A 3 x 3 convolution and its sums over pixels against shifted products in NumPy."""
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 6, 6, 8)).astype(np.float32), rng.normal(size=(3, 3, 8, 8)).astype(np.float32)

    def convolve(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return y, jnp.sum(y, (0, 1, 2))

    y, total = jax.jit(convolve, compiler_options=options)(x, kernel)
    expected = sum(x[:, a : a + 4, b : b + 4] @ kernel[a, b] for a in range(3) for b in range(3))
    # Sums of 72 products of about 1, then of 32 of them.
    return np.allclose(y, expected, atol=1e-3) and np.allclose(total, np.sum(expected, (0, 1, 2)), atol=1e-2)
