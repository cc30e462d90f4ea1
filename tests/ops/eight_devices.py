"""Operations on a batch that lies on eight pretended devices, whose number is fixed once JAX has started.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python eight_devices.py NAME     # one of the functions below
"""

import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from cnn_jax.ops import batch_norm, context, conv2d, max_pool, weight_gradient


def mesh():
    assert jax.device_count() == 8
    return jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))


def draw(*shapes):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape).astype(np.float32) for shape in shapes)


def gradients_of_the_whole():
    x, kernel = draw((16, 12, 10, 3), (3, 3, 3, 4))
    one = np.ones(4, np.float32)

    def loss(x, kernel):
        y = conv2d(x, kernel, strides=2, padding=1)
        y, statistics = batch_norm(y, one, one, one, one, train=True)
        return (max_pool(y, 3, 2, 1) ** 3).sum() + statistics[1].sum()

    step = jax.value_and_grad(loss, argnums=(0, 1))
    with context(conv="xla"):
        expected = jax.jit(step)(x, kernel)
    rows = NamedSharding(mesh(), P("data"))
    sharded = jax.device_put(x, rows)
    for split in (None, rows):
        with context(batch=split):
            value, (dx, dkernel) = jax.jit(step)(sharded, kernel)
        assert dx.sharding.spec == P("data"), dx.sharding
        for ours, theirs in zip((value, dx, dkernel), (expected[0], *expected[1]), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def gradients_under_shard_map():
    x, kernel = draw((16, 24, 20, 3), (3, 3, 3, 4))
    one, devices = np.ones(4, np.float32), mesh()

    def loss(kernel, x, axis):
        y = conv2d(x, kernel, strides=2, padding=1)
        with context(batch=axis):
            y, _ = batch_norm(y, one, one, one, one, train=True)
        return jax.lax.pmean((max_pool(y, 3, 2, 1) ** 3).mean(), "data")

    def gradient(conv, axis, check_vma):
        with context(conv=conv):
            mapped = jax.shard_map(
                jax.grad(lambda kernel, x: loss(kernel, x, axis)),
                mesh=devices,
                in_specs=(P(), P("data")),
                out_specs=P(),
                check_vma=check_vma,
            )
            return jax.jit(mapped)(kernel, x)

    for axis in ("data", None):
        for check_vma in (True, False):
            results = [gradient(conv, axis, check_vma) for conv in ("auto", "xla")]
            np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)


def batch_norm_far_from_zero():
    x = np.random.default_rng(0).normal(1e4, 1, size=(64, 4, 4, 8)).astype(np.float32)
    exact = x.astype(np.float64)
    mean, var = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    y = (exact - mean) / np.sqrt(var + 1e-5)
    one, zero = np.ones(8, np.float32), np.zeros(8, np.float32)
    devices = mesh()
    rows = NamedSharding(devices, P("data"))

    def run(x):
        return batch_norm(x, one, zero, zero, one, train=True, momentum=0.0)

    def run_mapped(x):
        with context(batch="data"):
            return run(x)

    def check(function):
        compiled = jax.jit(function).lower(jax.device_put(x, rows)).compile()
        text = compiled.as_text()
        assert [text.count(f" {kind}(") for kind in ("all-gather", "all-reduce", "reduce-scatter")] == [1, 0, 0]
        found, statistics = compiled(x)
        np.testing.assert_allclose(statistics[0], mean, rtol=3e-7)  # floats lie 1e-7 of it apart,
        np.testing.assert_allclose(statistics[1], var, rtol=1e-3)
        np.testing.assert_allclose(found, y, atol=3e-3)  # which is 1e-3 here

    with context(batch=rows):
        for conv in ("auto", "xla"):
            with context(conv=conv):
                check(lambda x: run(x))  # a new function, which is traced anew
    for check_vma in (True, False):
        check(
            jax.shard_map(run_mapped, mesh=devices, in_specs=P("data"), out_specs=(P("data"), P()), check_vma=check_vma)
        )


def loops_over_rows():
    weight_gradient.SMALL, weight_gradient.BLOCK_ROWS = 0, 64  # so that a small batch is looped over, too
    x, kernel = draw((16, 12, 10, 6), (3, 3, 6, 4))
    devices = mesh()
    rows, whole = NamedSharding(devices, P("data")), NamedSharding(devices, P())
    gradient = jax.grad(lambda kernel, x: (conv2d(x, kernel, padding=1) ** 2).sum())
    with context(conv="xla"):
        expected = gradient(kernel, x)
    with context(batch=rows):
        arguments = jax.device_put(kernel, whole), jax.device_put(x, rows)
        compiled = jax.jit(gradient, out_shardings=whole).lower(*arguments).compile()
    text = compiled.as_text()
    counts = [text.count(f" {kind}(") for kind in ("while", "all-reduce", "all-gather", "collective-permute")]
    assert counts == [1, 1, 0, 0], counts
    assert " all-reduce(" in text[text.index("ENTRY") :]
    np.testing.assert_allclose(compiled(*arguments), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[name]()
