"""The kernels on a batch that lies on eight pretended devices, whose number is fixed once JAX has started.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python kernels_on_eight_devices.py NAME  # a function below
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from cnn_jax.native.handlers import PREFIX
from cnn_jax.ops import batch_norm, batch_norm_cpu, context, conv2d, conv_cpu, max_pool, max_pool_cpu

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 9, 8, 6)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 6, 4)).astype(np.float32)
SCALE = RNG.normal(size=6).astype(np.float32)
TARGET = f"@{PREFIX}"


def gradients(x, kernel):
    return jax.grad(lambda x, kernel: jnp.square(conv2d(x, kernel, strides=2, padding=1)).sum(), (0, 1))(x, kernel)


def mesh(*sizes):
    assert jax.device_count() == 8
    return jax.make_mesh(sizes, ("data", "model")[: len(sizes)], axis_types=(AxisType.Auto,) * len(sizes))


def check(function, arguments, expected_calls, same=gradients):
    lowered = jax.jit(function).lower(*arguments)
    assert lowered.as_text().count(TARGET) == expected_calls, lowered.as_text()
    with context(conv="xla"):
        expected = jax.jit(lambda *a: same(*a))(*jax.device_get(arguments))
    for ours, theirs in zip(lowered.compile()(*arguments), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), rtol=0)


def split_by_jit():
    devices = mesh(8)
    rows = NamedSharding(devices, P("data"))
    arguments = jax.device_put(X, rows), jax.device_put(KERNEL, NamedSharding(devices, P()))
    check(lambda x, kernel: gradients(x, kernel), arguments, 0)
    with context(batch=rows):
        check(lambda x, kernel: gradients(x, kernel), arguments, 0)
        assert "cnn_jax_native" not in str(jax.make_jaxpr(gradients)(X, KERNEL))  # the forms learn here of the split


def mapped(devices, check_vma=True, own_kernels=False, **names):
    """The gradients of a batch that is split; of one kernel for all, or of each device's own, added up by hand."""

    def function(x, kernel):
        if own_kernels:
            kernel = jax.lax.pcast(kernel, "data", to="varying")
        dx, dkernel = gradients(x, kernel)
        return dx, dkernel if check_vma and not own_kernels else jax.lax.psum(dkernel, "data")

    split = dict(in_specs=(P("data"), P()), out_specs=(P("data"), P()), check_vma=check_vma)
    return jax.shard_map(function, mesh=devices, **split, **names)


def split_by_shard_map():
    for how in ({}, {"own_kernels": True}, {"check_vma": False}):
        check(mapped(mesh(8), **how), (X, KERNEL), 3)
        # Where another axis is left to the compiler, it may split what a kernel would see whole.
        check(mapped(mesh(4, 2), axis_names={"data"}, **how), (X, KERNEL), 0)


def built_under_shard_map():
    """The first program of a process: the kernels are loaded and checked while it is lowered, under the mesh."""
    devices = mesh(8)
    with jax.set_mesh(devices):
        check(mapped(devices), (X, KERNEL), 3)


def layers(x, scale):
    """Gradients through a normalisation with shortcut and ReLU, whose statistics are of the rows here, and a pool."""

    def loss(x, scale):
        zero = jnp.zeros(6)
        y, _ = batch_norm(x, scale, zero, zero, zero + 1, train=True, shortcut=x, relu=True)
        return jnp.square(max_pool(y, 3, 2, 1)).sum()

    return jax.grad(loss, (0, 1))(x, scale)


def layers_split_by_jit():
    rows = NamedSharding(mesh(8), P("data"))
    arguments = jax.device_put(X, rows), jax.device_put(SCALE, NamedSharding(rows.mesh, P()))
    check(lambda *a: layers(*a), arguments, 0, layers)
    with context(batch=rows):
        check(lambda *a: layers(*a), arguments, 0, layers)
        assert "cnn_jax_native" not in str(jax.make_jaxpr(layers)(X, SCALE))


def layers_split_by_shard_map():
    def of_parts(x, scale):
        """The same on one device: of two rows at a time."""
        dx, dscale = jax.lax.map(lambda rows: layers(rows, scale), x.reshape(8, 2, *x.shape[1:]))
        return dx.reshape(x.shape), dscale.sum(0)

    def mapped(devices, **names):
        split = dict(in_specs=(P("data"), P()), out_specs=(P("data"), P()))
        return jax.shard_map(lambda *a: layers(*a), mesh=devices, **split, **names)

    check(mapped(mesh(8)), (X, SCALE), 3, of_parts)
    # Where another axis is left to the compiler, it may split what a kernel would see whole.
    assert TARGET not in jax.jit(mapped(mesh(4, 2), axis_names={"data"})).lower(X, SCALE).as_text()


if __name__ == "__main__":
    conv_cpu.FEWEST_PRODUCTS = batch_norm_cpu.FEWEST_NUMBERS = max_pool_cpu.FEWEST_NUMBERS = 0
    globals()[sys.argv[1]]()
