"""Eight devices in a process of their own: their number is fixed once JAX has started."""

import os
import subprocess
import sys

SHARDED_AGAINST_WHOLE = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from cnn_jax.ops import batch_norm, conv2d, implementation, max_pool

rng = np.random.default_rng(0)
x, kernel = (rng.normal(size=s).astype(np.float32) for s in ((16, 12, 10, 3), (3, 3, 3, 4)))
one = np.ones(4, np.float32)

def loss(x, kernel):
    y = conv2d(x, kernel, strides=2, padding=1)
    y, statistics = batch_norm(y, one, one, one, one, train=True)
    return (max_pool(y, 3, 2, 1) ** 3).sum() + statistics[1].sum()

step = jax.value_and_grad(loss, argnums=(0, 1))
with implementation("xla"):
    expected = jax.jit(step)(x, kernel)
assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
sharded = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
value, (dx, dkernel) = jax.jit(step)(sharded, kernel)
assert dx.sharding.spec == PartitionSpec("data"), dx.sharding
for ours, theirs in zip((value, dx, dkernel), (expected[0], *expected[1])):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())
"""


def test_a_batch_over_eight_devices_gives_the_gradients_of_the_whole():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", SHARDED_AGAINST_WHOLE]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


MAPPED_AGAINST_XLA = """
import jax, numpy as np
from jax.sharding import AxisType, PartitionSpec as P
from cnn_jax.ops import batch_norm, conv2d, implementation, max_pool

rng = np.random.default_rng(0)
x, kernel = (rng.normal(size=s).astype(np.float32) for s in ((16, 24, 20, 3), (3, 3, 3, 4)))
one = np.ones(4, np.float32)
mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))

for axis_name in ("data", None):
    def loss(kernel, x):
        y = conv2d(x, kernel, strides=2, padding=1)
        y, _ = batch_norm(y, one, one, one, one, train=True, axis_name=axis_name)
        return jax.lax.pmean((max_pool(y, 3, 2, 1) ** 3).mean(), "data")

    for check_vma in (True, False):
        results = []
        for choice in ("auto", "xla"):
            with implementation(choice):
                mapped = jax.shard_map(
                    jax.grad(loss), mesh=mesh, in_specs=(P(), P("data")), out_specs=P(), check_vma=check_vma
                )
                results.append(jax.jit(mapped)(kernel, x))
        np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4)
"""


def test_gradients_under_shard_map_are_those_of_xla_with_and_without_its_checks():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, "-c", MAPPED_AGAINST_XLA]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
