"""Where the kernels do not serve, the pure JAX forms do; where JAX transforms them, it transforms those."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.native import build, call
from cnn_jax.native.convolution import convolution, to_filters, to_images
from cnn_jax.native.handlers import PREFIX
from cnn_jax.ops import context, conv2d
from cnn_jax.ops.geometry import ConvGeometry
from cnn_jax.ops.xla_conv import transposed_conv, xla_conv, xla_weight_gradient

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 9, 8, 6)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 6, 4)).astype(np.float32)
G = RNG.normal(size=(4, 5, 4, 4)).astype(np.float32)  # of the result with strides 2, padding 1
MOVES = {"strides": (2, 2), "pads": ((1, 1), (1, 1))}
TARGET = f"@{PREFIX}"


@pytest.fixture(autouse=True)
def small_convolutions_too(monkeypatch):
    monkeypatch.setattr("cnn_jax.ops.conv_cpu.FEWEST_PRODUCTS", 0)


def gradients(x, kernel, **how):
    """The value, and both gradients of a loss that is not linear in it."""

    def loss(x, kernel):
        return jnp.square(conv2d(x, kernel, padding=1, **how)).sum() / 2

    return jax.value_and_grad(loss, (0, 1))(x, kernel)


def calls(function, *arguments):
    """How many calls of kernels a function is lowered to."""
    return jax.jit(lambda *arguments: function(*arguments)).lower(*arguments).as_text().count(TARGET)


def agree(ours, theirs, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max(), rtol=0)


def with_xla(function, *arguments):
    with context(conv="xla"):
        assert calls(function, *arguments) == 0
        return jax.jit(lambda *arguments: function(*arguments))(*arguments)


def test_without_jit_a_kernel_is_compiled_once():
    conv2d(X, KERNEL)
    before = call._compiled.cache_info()
    conv2d(X + 1, KERNEL)
    after = call._compiled.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 1)


def test_a_convolution_and_its_gradients_are_three_calls():
    assert calls(partial(gradients, strides=2), X, KERNEL) == 3
    agree(jax.jit(partial(gradients, strides=2))(X, KERNEL), with_xla(partial(gradients, strides=2), X, KERNEL))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_of_many_channels_they_serve_what_the_processor_multiplies_fast(monkeypatch, dtype):
    x, kernel = jnp.ones((2, 5, 5, 512), dtype), jnp.ones((3, 3, 512, 64), dtype)
    for fast in (False, True):
        monkeypatch.setattr("cnn_jax.ops.conv_cpu.multiplies_bfloat16", lambda fast=fast: fast)
        assert calls(gradients, x, kernel) == (3 if fast and dtype == "bfloat16" else 0)


@pytest.mark.parametrize(
    ("how", "kernel"), [({"groups": 2}, KERNEL[:, :, :3]), ({"dilation": 2}, KERNEL)], ids=["groups", "dilation"]
)
def test_groups_and_dilation_fall_back(how, kernel):
    assert calls(partial(gradients, **how), X, kernel) == 0
    agree(jax.jit(partial(gradients, **how))(X, kernel), with_xla(partial(gradients, **how), X, kernel))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float16", 4e-3)])
def test_other_dtypes_fall_back(dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        arguments = X.astype(dtype), KERNEL.astype(dtype)
        assert calls(gradients, *arguments) == 0
        agree(jax.jit(gradients)(*arguments), with_xla(gradients, *arguments), tolerance)


def test_small_convolutions_fall_back(monkeypatch):
    monkeypatch.undo()
    assert calls(gradients, X, KERNEL) == 0
    x, kernel = jax.ShapeDtypeStruct((8, 64, 64, 8), "float32"), jax.ShapeDtypeStruct((3, 3, 8, 8), "float32")
    assert calls(gradients, x, kernel) == 3


def test_other_platforms_and_xla_neither_build_nor_call_them(monkeypatch):
    monkeypatch.setattr(build, "ready", lambda: pytest.fail("the kernels were asked for"))
    shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in (X, KERNEL)]
    with context(conv="xla"):
        assert calls(gradients, X, KERNEL) == 0
    with context(platform="cuda"):
        text = jax.export.export(jax.jit(lambda *a: gradients(*a)), platforms=["cuda"])(*shapes).mlir_module()
    assert "stablehlo.convolution" in text and TARGET not in text
    text = jax.jit(lambda *a: gradients(*a)).trace(*shapes).lower(lowering_platforms=("cuda",)).as_text()
    assert TARGET not in text


@pytest.mark.parametrize("batch", [4, "b"])
def test_exported_programs_call_no_kernel(batch, monkeypatch):
    monkeypatch.setattr(build, "ready", lambda: pytest.fail("the kernels were asked for"))
    size = batch if isinstance(batch, int) else jax.export.symbolic_shape(batch)[0]
    shapes = jax.ShapeDtypeStruct((size, *X.shape[1:]), X.dtype), jax.ShapeDtypeStruct(KERNEL.shape, KERNEL.dtype)
    exported = jax.export.export(jax.jit(lambda *a: gradients(*a)))(*shapes)
    assert TARGET not in exported.mlir_module()
    agree(jax.export.deserialize(exported.serialize()).call(X, KERNEL), with_xla(gradients, X, KERNEL))


def test_vmap_falls_back():
    arguments = np.stack([X, 2 * X]), np.stack([KERNEL, -KERNEL])
    assert calls(jax.vmap(gradients), *arguments) == 0
    each = [with_xla(gradients, *pair) for pair in zip(*arguments, strict=True)]
    agree(jax.jit(jax.vmap(gradients))(*arguments), jax.tree.map(lambda *parts: jnp.stack(parts), *each))
    own_kernel = jax.vmap(gradients, (0, None))
    agree(jax.jit(own_kernel)(arguments[0], KERNEL), with_xla(own_kernel, arguments[0], KERNEL))


def passes():
    """Each pass: its pure JAX form and the kernel in place of it, as functions of two arrays, and these."""
    geometry, size, window = ConvGeometry(**MOVES), X.shape[1:3], KERNEL.shape[:2]
    forms = [
        partial(xla_conv, geometry=geometry),
        partial(transposed_conv, size=size, geometry=geometry),
        partial(xla_weight_gradient, window=window, geometry=geometry),
    ]
    move = MOVES["strides"], MOVES["pads"]
    return {
        "convolution": (forms[0], lambda a, b: convolution(forms[0], a, b, G.shape[1:3], *move), (X, KERNEL)),
        "to_images": (forms[1], lambda a, b: to_images(forms[1], a, b, size, *move), (G, KERNEL)),
        "to_filters": (forms[2], lambda a, b: to_filters(forms[2], a, b, window, *move), (X, G)),
    }


@pytest.mark.parametrize("name", passes())
def test_forward_mode_and_derivatives_of_derivatives_agree(name):
    form, kernel, arrays = passes()[name]
    assert calls(kernel, *arrays) == 1 and calls(form, *arrays) == 0
    agree(jax.jit(kernel)(*arrays), jax.jit(form)(*arrays))
    tangents = tuple(RNG.normal(size=array.shape).astype(np.float32) for array in arrays)
    agree(*(jax.jit(partial(jax.jvp, f))(arrays, tangents) for f in (kernel, form)))

    def second(f):
        norm = jax.grad(lambda a, b: jnp.square(f(a, b)).sum() / 100, (0, 1))
        return jax.jit(jax.grad(lambda a, b: sum(jnp.square(part).sum() for part in norm(a, b)), (0, 1)))(*arrays)

    agree(second(kernel), second(form))


def test_one_tangent_alone_and_no_jit():
    form, kernel, arrays = passes()["convolution"]
    tangent = RNG.normal(size=X.shape).astype(np.float32)
    agree(*(jax.jvp(lambda x, f=f: f(x, KERNEL), (X,), (tangent,)) for f in (kernel, form)))
    agree(kernel(*arrays), form(*arrays))


def test_grad_of_grad_of_a_convolution_agrees_with_xla():
    def norm(x, kernel):
        return sum(jnp.square(part).sum() for part in gradients(x, kernel, strides=2)[1])

    agree(jax.jit(jax.grad(norm, (0, 1)))(X, KERNEL), with_xla(jax.grad(norm, (0, 1)), X, KERNEL))


@pytest.mark.parametrize("name", ["split_by_jit", "split_by_shard_map", "built_under_shard_map"])
def test_on_eight_devices(name):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, str(Path(__file__).with_name("kernels_on_eight_devices.py")), name]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
