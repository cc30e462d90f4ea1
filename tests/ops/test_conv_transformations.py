"""What JAX does to functions must keep working with gradients of our own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import context, conv2d

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 9, 8, 3)).astype(np.float32)
KERNEL = RNG.normal(size=(3, 3, 3, 4)).astype(np.float32)
# Sums of some hundred products in float32, of gradients up to about 100.
TOLERANCE = dict(rtol=1e-4, atol=1e-3)


def loss(x, kernel):
    return jnp.square(conv2d(x, kernel, strides=2, padding=1)).mean(0).sum()


gradients = jax.grad(loss, argnums=(0, 1))


def compiled(f):
    """A program of its own each time, for what it is traced from changes; one operation after another it takes long."""
    return jax.jit(lambda *arguments: f(*arguments), compiler_options={"xla_backend_optimization_level": 0})


# One product is what `test_conv2d.py` has, too.
@pytest.fixture(autouse=True, params=[40, pytest.param(2048, marks=pytest.mark.slow)], ids=["loop", "one product"])
def block_rows(request, monkeypatch):
    """The gradient to the kernel as a loop over blocks of rows, and as one product."""
    monkeypatch.setattr("cnn_jax.ops.weight_gradient.BLOCK_ROWS", request.param)
    monkeypatch.setattr("cnn_jax.ops.weight_gradient.SMALL", 0)


@pytest.fixture(scope="module")
def expected():
    with context(conv="xla"):
        return compiled(gradients)(X, KERNEL)


def agree(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **TOLERANCE), ours, theirs)


def test_the_two_implementations_agree(expected):
    agree(compiled(gradients)(X, KERNEL), expected)


def test_vmap_over_images_and_kernels():
    xs, kernels = jnp.stack([X, 2 * X]), jnp.stack([KERNEL, -KERNEL])
    batched = compiled(jax.vmap(gradients))(xs, kernels)
    agree(batched, jax.tree.map(lambda *parts: jnp.stack(parts), *map(compiled(gradients), xs, kernels)))


def test_remat(expected):
    agree(compiled(jax.grad(jax.checkpoint(loss), argnums=(0, 1)))(X, KERNEL), expected)


def test_scan(expected):
    total = jax.tree.map(jnp.zeros_like, (X, KERNEL))
    step = jax.jit(lambda x, kernel: jax.lax.scan(lambda t, _: (gradients(x, kernel), None), total, None, 2)[0])
    agree(step(X, KERNEL), expected)


@pytest.mark.slow
def test_reverse_over_reverse_agrees_with_xla():
    def norm(x, kernel):
        return sum(jnp.square(g).sum() for g in gradients(x, kernel))

    ours = compiled(jax.grad(norm, argnums=(0, 1)))(X, KERNEL)
    with context(conv="xla"):
        theirs = compiled(jax.grad(norm, argnums=(0, 1)))(X, KERNEL)
    agree(jax.tree.map(lambda a: a / jnp.abs(a).max(), ours), jax.tree.map(lambda a: a / jnp.abs(a).max(), theirs))


@pytest.mark.parametrize("small", [0, 1 << 22])
def test_export_for_two_platforms_with_any_batch(expected, small, monkeypatch):
    # A symbol can be compared with 0, but not with a number that it may or may not reach.
    monkeypatch.setattr("cnn_jax.ops.weight_gradient.SMALL", small)
    batch = jax.export.symbolic_shape("b")[0]
    shapes = jax.ShapeDtypeStruct((batch, *X.shape[1:]), X.dtype), jax.ShapeDtypeStruct(KERNEL.shape, KERNEL.dtype)
    program = jax.export.deserialize(
        jax.export.export(jax.jit(gradients), platforms=("cpu", "cuda"))(*shapes).serialize()
    )
    agree(program.call(X, KERNEL), expected)


def test_other_platforms_get_the_convolution_of_xla():
    shapes = jax.ShapeDtypeStruct(X.shape, X.dtype), jax.ShapeDtypeStruct(KERNEL.shape, KERNEL.dtype)
    text = {}
    for platform in ("cpu", "cuda"):
        with context(platform=platform):
            text[platform] = jax.export.export(jax.jit(gradients), platforms=[platform])(*shapes).mlir_module()
    assert "stablehlo.dot_general" in text["cpu"]
    assert "stablehlo.dot_general" not in text["cuda"]


def test_equal_calls_give_equal_bits():
    f = jax.jit(gradients)
    first = f(X, KERNEL)
    for _ in range(3):
        jax.tree.map(np.testing.assert_array_equal, f(X, KERNEL), first)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_reach_what_they_reach_in_xla(value):
    x = X.copy()
    x[1, 4, 3, 1] = value
    g = np.ones(conv2d(X, KERNEL, strides=2, padding=1).shape, np.float32)

    def values(x, kernel):
        y, pull = jax.vjp(lambda x, k: conv2d(x, k, strides=2, padding=1), x, kernel)
        return y, *pull(g)

    ours = compiled(values)(x, KERNEL)
    with context(conv="xla"):
        theirs = compiled(values)(x, KERNEL)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
