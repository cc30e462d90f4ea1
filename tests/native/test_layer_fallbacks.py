"""Where the kernels of layers do not serve, the pure JAX forms do; where JAX transforms them, it transforms those."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_fallbacks import TARGET, agree, calls, with_xla

from cnn_jax.models import create_model
from cnn_jax.native import build
from cnn_jax.ops import batch_norm, batch_norm_cpu, context, max_pool, max_pool_cpu

RNG = np.random.default_rng(0)
X, AROUND = RNG.normal(1.0, 2.0, size=(2, 4, 9, 8, 6)).astype(np.float32)
SCALE, BIAS = RNG.normal(size=(2, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def small_layers_too(monkeypatch):
    monkeypatch.setattr(batch_norm_cpu, "FEWEST_NUMBERS", 0)
    monkeypatch.setattr(max_pool_cpu, "FEWEST_NUMBERS", 0)


def norm(x, scale, bias, shortcut, relu=True, train=True):
    zero = jnp.zeros(6, jnp.promote_types(jnp.float32, x.dtype))
    return batch_norm(x, scale, bias, zero, zero + 1, train=train, shortcut=shortcut, relu=relu)


def pooled(x):
    return max_pool(x, 3, 2, 1)


def gradients_of_norm(*arrays, **how):
    """The value, and the gradients of a loss that is not linear in it and reaches the running statistics."""

    def loss(*arrays):
        y, (mean, var) = norm(*arrays, **how)
        return jnp.square(y).sum() / 2 + jnp.square(mean).sum() + var.sum()

    return jax.value_and_grad(loss, (0, 1, 2, 3))(*arrays)


def gradients_of_pool(x, *_):
    return jax.value_and_grad(lambda x: jnp.square(pooled(x)).sum())(x)


ALL = X, SCALE, BIAS, AROUND
LAYERS = pytest.mark.parametrize("gradients", [gradients_of_norm, gradients_of_pool], ids=["norm", "pool"])


@pytest.mark.parametrize(("gradients", "kernels"), [(gradients_of_norm, 2), (gradients_of_pool, 1)])
def test_both_passes_of_a_normalisation_and_the_gradient_of_a_pool_are_calls(gradients, kernels):
    assert calls(gradients, *ALL) == kernels
    agree(jax.jit(gradients)(*ALL), with_xla(gradients, *ALL))


@pytest.mark.parametrize("relu", [False, True])
def test_with_and_without_a_shortcut_and_a_relu(relu):
    def alone(x, scale, bias):
        def loss(x, scale, bias):
            return jnp.square(norm(x, scale, bias, None, relu)[0]).sum()

        return jax.grad(loss, (0, 1, 2))(x, scale, bias)

    assert calls(alone, *ALL[:3]) == 2
    # Of a normalisation without a ReLU, the sum of squares depends on scale and bias alone: its slope in x is rounding.
    agree(jax.jit(alone)(*ALL[:3])[1 - relu :], with_xla(alone, *ALL[:3])[1 - relu :], 2e-5)
    around = partial(gradients_of_norm, relu=relu)
    assert calls(around, *ALL) == 2
    agree(jax.jit(around)(*ALL), with_xla(around, *ALL))


@LAYERS
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float16", 1e-2)])
def test_layers_of_other_dtypes_fall_back(gradients, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        arguments = [a.astype(dtype) for a in ALL]
        assert calls(gradients, *arguments) == 0
        agree(jax.jit(gradients)(*arguments), with_xla(gradients, *arguments), tolerance)


@LAYERS
def test_small_layers_fall_back(monkeypatch, gradients):
    monkeypatch.undo()
    assert calls(gradients, *ALL) == 0
    large = jax.ShapeDtypeStruct((64, 32, 32, 6), "float32")
    assert calls(gradients, large, SCALE, BIAS, large) > 0


def test_a_shortcut_of_another_shape_or_dtype_falls_back():
    for around in (AROUND[:1], AROUND.astype(jnp.bfloat16)):
        assert calls(gradients_of_norm, X, SCALE, BIAS, around) == 0
        agree(jax.jit(gradients_of_norm)(X, SCALE, BIAS, around), with_xla(gradients_of_norm, X, SCALE, BIAS, around))


def test_evaluation_frozen_statistics_and_a_mapped_batch_fall_back():
    assert calls(partial(norm, train=False), *ALL) == 0
    with context(frozen_norm=True):
        assert calls(gradients_of_norm, *ALL) == 0
    mapped = jax.vmap(gradients_of_norm, (0, None, None, 0), axis_name="rows")
    with context(batch="rows"):
        assert calls(mapped, X[None], SCALE, BIAS, AROUND[None]) == 0


def test_ghost_batches_fall_back():
    with context(ghost_batch=2):
        assert calls(gradients_of_norm, *ALL) == 0
        ours = jax.jit(gradients_of_norm)(*ALL)
    with context(ghost_batch=2, conv="xla"):
        agree(ours, jax.jit(lambda *arrays: gradients_of_norm(*arrays))(*ALL))


@LAYERS
def test_layers_under_vmap_fall_back(gradients):
    axes = (0, None, None, 0)
    arguments = np.stack([X, 2 * X]), SCALE, BIAS, np.stack([AROUND, -AROUND])
    assert calls(jax.vmap(gradients, axes), *arguments) == 0
    agree(jax.jit(jax.vmap(gradients, axes))(*arguments), with_xla(jax.vmap(gradients, axes), *arguments))


@LAYERS
def test_other_platforms_and_xla_ask_for_no_layer(monkeypatch, gradients):
    monkeypatch.setattr(build, "ready", lambda: pytest.fail("the kernels were asked for"))
    with context(conv="xla"):
        assert calls(gradients, *ALL) == 0
    lowered = jax.jit(lambda *a: gradients(*a)).trace(*ALL).lower(lowering_platforms=("cuda",))
    assert TARGET not in lowered.as_text()


@LAYERS
@pytest.mark.parametrize("batch", [4, "b"])
def test_exported_layers_call_no_kernel(gradients, batch, monkeypatch):
    monkeypatch.setattr(build, "ready", lambda: pytest.fail("the kernels were asked for"))
    size = batch if isinstance(batch, int) else jax.export.symbolic_shape(batch)[0]
    shapes = [jax.ShapeDtypeStruct((size, *a.shape[1:]) if a.ndim == 4 else a.shape, a.dtype) for a in ALL]
    exported = jax.export.export(jax.jit(lambda *a: gradients(*a)))(*shapes)
    assert TARGET not in exported.mlir_module()
    agree(jax.export.deserialize(exported.serialize()).call(*ALL), with_xla(gradients, *ALL))


@LAYERS
def test_derivatives_of_derivatives_and_no_jit_agree(gradients):
    def squares(*arrays):
        return sum(jnp.square(part).sum() for part in jax.tree.leaves(gradients(*arrays)[1])) / 100

    agree(jax.jit(jax.grad(squares))(*ALL), with_xla(jax.grad(squares), *ALL), 1e-4)
    agree(gradients(*ALL), with_xla(gradients, *ALL))


@LAYERS
def test_forward_mode_of_layers_names_the_remedy(gradients):
    with pytest.raises(TypeError, match=r'own: `with cnn_jax\.ops\.context\(conv="xla"\)'):
        jax.jvp(lambda x: norm(x, SCALE, BIAS, AROUND)[0] if gradients is gradients_of_norm else pooled(x), (X,), (X,))


@pytest.mark.parametrize("name", ["layers_split_by_jit", "layers_split_by_shard_map"])
def test_layers_on_eight_devices(name):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    command = [sys.executable, str(Path(__file__).with_name("kernels_on_eight_devices.py")), name]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def step_of(name, shape, **options):
    """The text of a network's gradients in training, lowered."""
    model = create_model(name, num_classes=10, options=options)
    images = jnp.zeros(shape)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))

    def loss(params, others):
        logits, moved = model.apply(others | {"params": params}, images, train=True, mutable=["batch_stats"])
        return logits.sum(), moved

    others = {key: value for key, value in variables.items() if key != "params"}
    return jax.jit(jax.grad(loss, has_aux=True)).lower(variables["params"], others).as_text()


@pytest.mark.parametrize(
    ("options", "norms", "relus", "shortcuts"),
    [({}, 19, 19, 9), ({"shortcut": "B"}, 21, 19, 9), ({"activation": "gelu"}, 19, 0, 0), ({"norm": "group"}, 0, 0, 0)],
    ids=["plain", "projections", "gelu", "group"],
)
def test_a_residual_network_normalises_adds_and_activates_in_one_call(options, norms, relus, shortcuts):
    text = step_of("resnet20_cifar", (4, 16, 16, 3), **options)
    rows = [row for row in text.splitlines() if "@cnn_jax_Normalization(" in row]
    assert len(rows) == norms == text.count("@cnn_jax_NormalizationGradient(")
    assert sum("relu = 1 :" in row for row in rows) == relus
    assert sum(row.partition("(")[2].partition(")")[0].count("%") == 4 for row in rows) == shortcuts


def test_a_network_pools_by_the_kernels():
    text = step_of("resnet18", (2, 32, 32, 3))
    assert text.count("@cnn_jax_MaxPoolGradient(") == 1
