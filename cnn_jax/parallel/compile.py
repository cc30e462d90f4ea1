"""What to ask of XLA when it compiles a step for a CPU, and what it says of the memory of one."""

import functools
import hashlib
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from cnn_jax import ops

type Pair = tuple[int, int]

# jaxlib contains oneDNN: with the first option, convolutions and large products go to it (3 x 3, 64 channels, 56 x 56:
# 160 -> 200 GFLOP/s; 16 channels, 32 x 32: 100 -> 160). The second keeps sums such as BatchNorm's off a very slow path
# that the first would put them on. Both are experimental, hence the check. What XLA still generates itself
# are loops that wait for memory: optimised less they are as fast, and compile in two thirds of the time.
ONEDNN: dict[str, Any] = {
    "xla_cpu_experimental_onednn_custom_call": True,
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE",
    "xla_backend_optimization_level": 1,
}


# Convolutions of each kind that some compiler of some processor was seen to get wrong, beside a plain one: images,
# filters, strides, padding, dilation. `ops.xla_conv` says what is wrong with them, and avoids it.
KINDS = {
    "plain": ((2, 6, 6, 8), (3, 3, 8, 8), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "one column": ((2, 16, 2, 8), (3, 3, 8, 8), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    "one column, one channel": ((2, 9, 1, 1), (3, 3, 1, 8), (1, 2), ((1, 1), (1, 1)), (1, 1)),
    "a window in the padding": ((1, 1, 7, 4), (2, 3, 4, 8), (2, 1), ((1, 2), (1, 1)), (3, 1)),
}


def compiler_options(*dtypes: str) -> dict[str, Any] | None:
    """The `compiler_options` for `jax.jit` of a step: oneDNN on a CPU where it is known and right; else None.

    The first call for a dtype compiles tiny convolutions in it and compares them with NumPy; a compiler that does not
    know an option, or computes something else, is left as it is, with a warning.

    Args:
      dtypes: those of the step; float32 where none is given.
    """
    if jax.default_backend() != "cpu":
        return None
    return ONEDNN if all([_holds(dtype) for dtype in dtypes or ("float32",)]) else None


def compile_step(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """A lowered step, compiled with the `compiler_options` of the dtypes that it computes in."""
    options = compiler_options(*_dtypes_of(lowered))
    if options is None:
        return lowered.compile()
    with without_cache():
        return lowered.compile(compiler_options=options)


_COMPILED: OrderedDict[Any, jax.stages.Compiled] = OrderedDict()
_KEPT = 64  # programs: a study goes through its arms seed by seed, and each needs three


def compiled_once(
    lowered: jax.stages.Lowered, compile: Callable[[], jax.stages.Compiled], how: str
) -> jax.stages.Compiled:
    """What `compile` makes of a lowered program, or what this process made of the very same one lately.

    So the runs of a study, which differ in their seeds alone, share their programs. Constants are a part of a program,
    and so of the comparison; a seed is no constant (`random_key`).

    Args:
      how: a name of `compile`, for programs compiled in one way are not those compiled in another.
    """
    text = hashlib.sha256(lowered.as_text().encode()).digest()
    key = text, how, lowered.in_tree, lowered.out_tree, lowered.donate_argnums
    if key not in _COMPILED:
        _COMPILED[key] = compile()
        if len(_COMPILED) > _KEPT:
            _COMPILED.popitem(last=False)
    _COMPILED.move_to_end(key)
    return _COMPILED[key]


def peak_bytes(compiled: Any) -> int:
    """Bytes on one device while a compiled function runs: its arguments, results and temporary arrays.

    From the compiler's own plan, so it is known before the first step.  Donated arguments count once.
    """
    plan = compiled.memory_analysis()
    arrays = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return arrays + plan.temp_size_in_bytes


@functools.cache
def _holds(dtype: str) -> bool:
    return checked(ONEDNN, dtype) is not None


def _dtypes_of(lowered: jax.stages.Lowered) -> list[str]:
    found = set(re.findall(r"x(f32|bf16|f16|f64)>", lowered.as_text()))
    names = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "f64": "float64"}
    return [name for short, name in names.items() if short in found]


def checked(options: dict[str, Any], dtype: str = "float32") -> dict[str, Any] | None:
    """The options, if convolutions and a mean compiled with them are right in this dtype; else None and a warning."""
    try:
        with without_cache():
            wrong = _wrong_kinds(options, dtype)
    except jax.errors.JaxRuntimeError as error:
        why = str(error).splitlines()[0]
    else:
        if not wrong:
            return options
        why = f"convolutions came out wrong ({dtype}; {', '.join(wrong)})"
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


def _wrong_kinds(options: dict[str, Any], dtype: str) -> list[str]:
    """Of `KINDS`, those whose value, gradients, or mean behind a ReLU differ from NumPy's, in one program of all."""
    rng = np.random.default_rng(0)
    cases: dict[str, tuple[list[jax.Array], dict[str, Any]]] = {}
    for kind, (image, filters, strides, pads, dilation) in KINDS.items():
        x, kernel = rng.normal(size=image), rng.normal(size=filters)
        how: dict[str, Any] = {"strides": strides, "padding": pads, "dilation": dilation}
        g = rng.normal(size=jax.eval_shape(functools.partial(ops.conv2d, **how), x, kernel).shape)
        cases[kind] = [jnp.asarray(value, dtype) for value in (x, kernel, g)], how

    def program(arrays: dict[str, list[jax.Array]]) -> dict[str, tuple[jax.Array, ...]]:
        results = {}
        for kind, (x, kernel, g) in arrays.items():
            convolve: Callable[..., jax.Array] = functools.partial(ops.conv2d, **cases[kind][1])
            y, pull = jax.vjp(convolve, x, kernel)
            mean = ops.global_avg_pool(jax.nn.relu(convolve(jax.nn.relu(x), kernel)))
            results[kind] = y, *pull(g), mean
        return results

    found = jax.jit(program, compiler_options=options)({kind: arrays for kind, (arrays, _) in cases.items()})
    eight_roundings = 4 * float(jnp.finfo(dtype).eps)
    wrong = []
    for kind, (arrays, how) in cases.items():
        x, kernel, g = (np.asarray(array, np.float64) for array in arrays)
        true = [*_shifted_products(x, kernel, g, **how)]
        sizes = [*_shifted_products(np.abs(x), np.abs(kernel), np.abs(g), **how)]
        true.append(np.maximum(_shifted_products(np.maximum(x, 0), kernel, g, **how)[0], 0).mean((1, 2)))
        sizes.append(sizes[0].mean((1, 2)))
        near = [
            np.all(np.abs(np.asarray(ours, np.float64) - value) <= eight_roundings * size)
            for ours, value, size in zip(found[kind], true, sizes, strict=True)
        ]
        wrong += [] if all(near) else [kind]
    return wrong


def _shifted_products(
    x: np.ndarray, kernel: np.ndarray, g: np.ndarray, *, strides: Pair, padding: tuple[Pair, Pair], dilation: Pair
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The convolution and, for the gradient g of its result, those to images and filters: sums over the taps."""
    padded, y = np.pad(x, ((0, 0), *padding, (0, 0))), np.zeros(g.shape)
    dx, dkernel = np.zeros(padded.shape), np.zeros(kernel.shape)
    for tap in np.ndindex(*kernel.shape[:2]):
        rows, columns = (
            slice(tap[i] * dilation[i], tap[i] * dilation[i] + (g.shape[1 + i] - 1) * strides[i] + 1, strides[i])
            for i in range(2)
        )
        y += padded[:, rows, columns] @ kernel[tap]
        dx[:, rows, columns] += g @ kernel[tap].T
        dkernel[tap] = np.tensordot(padded[:, rows, columns], g, ((0, 1, 2), (0, 1, 2)))
    (top, _), (left, _) = padding
    return y, dx[:, top : top + x.shape[1], left : left + x.shape[2]], dkernel
