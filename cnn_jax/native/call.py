"""One JAX primitive for all kernels: their handler where a program is for one CPU, and pure JAX in all other programs.

The choice falls when a program is lowered, where all that matters is known: the platform, the devices, whether it is
for export. All transformations (`vmap`, forward mode, derivatives of derivatives) transform the pure JAX form.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from cnn_jax.native import build
from cnn_jax.native.handlers import PREFIX

type Form = Callable[..., Any]

# Numbers from which on a normalisation or a pooling is left to C++: a first small network waits for no compiler.
FEWEST_NUMBERS = 1 << 18

_native = Primitive("cnn_jax_native")
_native.multiple_results = True


def native_or(otherwise: Form, handler: str, shape: Sequence[int], *arrays: Array, **attributes: float) -> Array:
    """What a kernel computes of some arrays.

    Args:
      otherwise: the same in pure JAX, for the programs and the transformations that the kernel does not serve. It is
        traced when the program is lowered, outside of the `context` around this call. The same object each time, or
        outside of `jax.jit` each call is compiled anew.
      handler: one of `HANDLERS`.
      shape: of the result, whose dtype is that of the first array.
      attributes: what the handler takes beside the arrays, 64-bit integers and float32.
    """
    (result,) = several_or(otherwise, handler, [(shape, arrays[0].dtype)], *arrays, **attributes)
    return result


def serves(x: Array) -> bool:
    """Whether the kernels take arrays of this dtype and shape; symbols of `jax.export` are no sizes."""
    return x.dtype.name in ("float32", "bfloat16") and all(isinstance(size, int) for size in x.shape)


@lru_cache(maxsize=1024)
def fixed(function: Callable[..., Any], **settings: Any) -> Form:
    """The function with these settings, the same object each time."""
    return partial(function, **settings)


def several_or(
    otherwise: Form, handler: str, results: Sequence[tuple[Sequence[int], Any]], *arrays: Array, **attributes: float
) -> list[Array]:
    """The same where there are several results, each of its shape and dtype."""
    types = tuple((tuple(shape), np.dtype(dtype)) for shape, dtype in results)
    settings = tuple(sorted(attributes.items()))
    return _native.bind(*arrays, otherwise=otherwise, handler=handler, results=types, attributes=settings)


@_native.def_impl
def _eagerly(*arrays: Array, **parameters: Any) -> list[Array]:
    with jax.disable_jit(False):  # or it would come back here
        return _compiled(**parameters)(*arrays)


@lru_cache(maxsize=256)
def _compiled(**parameters: Any) -> Callable[..., list[Array]]:
    return jax.jit(partial(_native.bind, **parameters))


@_native.def_abstract_eval
def _types(first: Any, *others: Any, results: tuple[tuple[tuple[int, ...], Any], ...], **_: Any) -> Any:
    return [first.update(shape=shape, dtype=dtype) for shape, dtype in results]


def _listed(otherwise: Form) -> Callable[..., list[Array]]:
    return lambda *arrays: jax.tree.leaves(otherwise(*arrays))


def _forward_mode(primals: Any, tangents: Any, *, otherwise: Form, **_: Any) -> tuple[list[Array], list[Array]]:
    return jax.jvp(_listed(otherwise), primals, tuple(map(ad.instantiate_zeros, tangents)))


def _batch(arrays: Any, axes: Any, *, otherwise: Form, **_: Any) -> tuple[list[Array], list[int]]:
    results = jax.vmap(_listed(otherwise), axes)(*arrays)
    return results, [0] * len(results)


ad.primitive_jvps[_native] = _forward_mode
batching.primitive_batchers[_native] = _batch


def _lower(context: Any, *operands: Any, otherwise: Form, **_: Any) -> Any:
    return mlir.lower_fun(_listed(otherwise), multiple_results=True)(context, *operands)


def _lower_for_cpu(
    context: Any, *operands: Any, handler: str, attributes: tuple[tuple[str, float], ...], **others: Any
) -> Any:
    module = context.module_context
    if module.lowering_parameters.for_export or not _on_one_device(module.axis_context) or not build.ready():
        return _lower(context, *operands, **others)
    settings = {name: (np.float32 if isinstance(value, float) else np.int64)(value) for name, value in attributes}
    return jax.ffi.ffi_lowering(PREFIX + handler)(context, *operands, **settings)


def _on_one_device(axes: Any) -> bool:
    """Whether the arrays lie on one device whole, or under `jax.shard_map` on each in parts that it sees alone."""
    if hasattr(axes, "manual_axes"):
        return set(axes.manual_axes) == set(axes.mesh.axis_names)
    return getattr(axes, "num_devices", 0) == 1


mlir.register_lowering(_native, _lower)
mlir.register_lowering(_native, _lower_for_cpu, platform="cpu")
