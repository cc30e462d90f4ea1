import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

from cnn_jax.ops import batch_norm, context, local_response_norm

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, size=(4, 3, 5, 6)).astype(np.float32)
SCALE, BIAS = RNG.normal(size=(2, 6)).astype(np.float32)
MEAN, VAR = np.linspace(-1, 1, 6, dtype=np.float32), np.linspace(0.5, 2, 6, dtype=np.float32)


@pytest.fixture(params=["cpu", "cuda"])
def platform(request):
    """Both forms of the statistics, two passes and one."""
    with context(platform=request.param):
        yield


def test_batch_norm_in_training_uses_and_stores_the_batch(platform):
    y, (mean, var) = batch_norm(X, SCALE, BIAS, MEAN, VAR, train=True, momentum=0.8, epsilon=1e-3)
    expected, batch_mean, batch_var = references.batch_norm(X, SCALE, BIAS, 1e-3)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mean, 0.8 * MEAN + 0.2 * batch_mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(var, 0.8 * VAR + 0.2 * batch_var, rtol=1e-5)


def test_batch_norm_stores_the_unbiased_variance_when_asked(platform):
    with context(unbiased_variance=True):
        _, (_, var) = batch_norm(X, SCALE, BIAS, MEAN, VAR, train=True, momentum=0.0)
    np.testing.assert_allclose(var, X.reshape(-1, 6).astype(np.float64).var(0, ddof=1), rtol=1e-5)
    with pytest.raises(ValueError, match="more than one value a channel"), context(unbiased_variance=True):
        batch_norm(X[:1, 0, 0], SCALE, BIAS, MEAN, VAR, train=True)


def test_batch_norm_in_evaluation_uses_and_keeps_the_running_statistics():
    y, (mean, var) = batch_norm(X, SCALE, BIAS, MEAN, VAR, train=False)
    np.testing.assert_allclose(y, (X - MEAN) / np.sqrt(VAR + 1e-5) * SCALE + BIAS, rtol=1e-5, atol=1e-5)
    assert (mean == MEAN).all() and (var == VAR).all()


def test_batch_norm_gradients_agree_with_finite_differences(platform):
    with jax.enable_x64(True):
        x, scale, bias = X[:2, :2, :2, :2].astype(np.float64), SCALE[:2].astype(float), BIAS[:2].astype(float)
        zero, weights = np.zeros(2), RNG.normal(size=x.shape)

        def loss(x, scale, bias):
            return (batch_norm(x, scale, bias, zero, zero + 1, train=True)[0] * weights).sum()

        def reference(x, scale, bias):
            return (references.batch_norm(x, scale, bias, 1e-5)[0] * weights).sum()

        gradients = jax.grad(loss, argnums=(0, 1, 2))(x, scale, bias)
        numeric = (
            references.numeric_gradient(lambda v: reference(v, scale, bias), x),
            references.numeric_gradient(lambda v: reference(x, v, bias), scale),
            references.numeric_gradient(lambda v: reference(x, scale, v), bias),
        )
        for ours, theirs in zip(gradients, numeric, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


def test_batch_norm_gradient_reaches_x_through_the_running_statistics(platform):
    def total(x):
        _, (mean, var) = batch_norm(x, SCALE, BIAS, MEAN, VAR, train=True, momentum=0.0)
        return mean.sum() + var.sum()

    count = X.size // 6
    mean = X.reshape(-1, 6).mean(0)
    np.testing.assert_allclose(jax.grad(total)(X), 1 / count + 2 * (X - mean) / count, rtol=1e-4, atol=1e-6)


def test_batch_norm_over_a_mapped_axis_is_batch_norm_of_the_whole(platform):
    def run(x, batch="parts"):
        with context(batch=batch, unbiased_variance=True):
            return batch_norm(x, SCALE, BIAS, MEAN, VAR, train=True)

    whole, statistics = run(X, None)
    parts, mapped = jax.vmap(run, axis_name="parts")(X.reshape(2, 2, 3, 5, 6))
    np.testing.assert_allclose(parts.reshape(X.shape), whole, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(mapped, statistics, strict=True):
        np.testing.assert_allclose(ours, np.stack([theirs, theirs]), rtol=1e-5, atol=1e-6)

    def loss(function):
        return lambda x: (function(x)[0].reshape(X.shape) ** 3 * weights).sum()

    weights = RNG.normal(size=X.shape).astype(np.float32)
    expected = jax.grad(loss(lambda x: batch_norm(x, SCALE, BIAS, MEAN, VAR, train=True)))(X)
    gradient = jax.grad(loss(jax.vmap(run, axis_name="parts")))(X.reshape(2, 2, 3, 5, 6))
    np.testing.assert_allclose(gradient.reshape(X.shape), expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_survives_a_mean_far_from_zero(platform):
    x = X + np.float32(4096)  # in float32 the mean of squares minus the squared mean is off by about 2 here
    y, (_, var) = batch_norm(x, SCALE, BIAS, MEAN, VAR, train=True, momentum=0.0)
    expected, _, batch_var = references.batch_norm(x, SCALE, BIAS, 1e-5)
    np.testing.assert_allclose(var, batch_var, rtol=1e-4)
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3)


def test_one_pass_cancels_no_more_than_its_first_row_allows():
    x = RNG.normal(size=(64, 2, 2, 3)).astype(np.float32)
    x[0] += 1e4  # the worst first row: 6 bits of 24 cancel, where the mean alone would cancel all
    with context(platform="cuda"):
        _, (mean, var) = batch_norm(x, None, None, np.zeros(3), np.ones(3), train=True, momentum=0.0)
    _, true_mean, true_var = references.batch_norm(x, np.ones(3), np.zeros(3), 1e-5)
    np.testing.assert_allclose(mean, true_mean, atol=2**-16 * np.sqrt(true_var).max())
    # 6 bits of 24, and 5 of the 8 that a CPU's sum of 256 values, one after the other, may cost
    np.testing.assert_allclose(var, true_var, rtol=2**-13)


def test_both_forms_of_the_statistics_have_the_same_second_derivatives():
    weights = jnp.asarray(RNG.normal(size=X.shape).astype(np.float32))

    def curvature(x):
        gradient = jax.grad(lambda x: (batch_norm(x, SCALE, BIAS, MEAN, VAR, train=True)[0] ** 3 * weights).sum())
        return jax.jvp(gradient, (x,), (weights,))[1]

    with context(conv="xla"):  # plain autodiff of two passes
        expected = curvature(X)
    with context(platform="cuda"):
        np.testing.assert_allclose(curvature(X), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_keeps_the_dtype_and_sums_in_a_wider_one(dtype, train):
    statistics = "float64" if dtype == "float64" else "float32"
    with jax.enable_x64(True):
        x = jnp.asarray(X, dtype)
        parameters = [jnp.asarray(v, statistics) for v in (SCALE, BIAS, MEAN, VAR)]
        y, (mean, var) = batch_norm(x, *parameters, train=train)
        assert (y.dtype, mean.dtype, var.dtype) == (dtype, statistics, statistics)
        reference = references.batch_norm(np.asarray(x, np.float64), SCALE, BIAS, 1e-5)[0]
        if train:
            np.testing.assert_allclose(np.asarray(y, np.float64), reference, rtol=2e-2, atol=2e-2)


def test_batch_norm_without_scale_and_bias_only_normalises():
    y, _ = batch_norm(X, None, None, MEAN, VAR, train=True)
    flat = np.asarray(y).reshape(-1, 6)
    np.testing.assert_allclose(flat.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(flat.std(0), 1, atol=1e-4)
    with pytest.raises(ValueError, match=r"batch_norm.scale` must be \(6,\)"):
        batch_norm(X, SCALE[:5], BIAS, MEAN, VAR, train=True)


@pytest.mark.parametrize("size", [1, 4, 5, 11])
def test_local_response_norm_agrees_with_loops_in_value_and_gradient(size):
    with jax.enable_x64(True):
        x, arguments = RNG.normal(size=(1, 2, 1, 7)), (size, 0.3, 0.75, 2.0)
        expected = references.local_response_norm(x, *arguments)
        np.testing.assert_allclose(local_response_norm(x, *arguments), expected, rtol=1e-12)
        gradient = jax.grad(lambda x: (local_response_norm(x, *arguments) ** 2).sum())(x)
        numeric = references.numeric_gradient(lambda x: (references.local_response_norm(x, *arguments) ** 2).sum(), x)
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="size` must be positive"):
        local_response_norm(X, size=0)


def test_local_response_norm_has_a_gradient_under_jit():
    x = jnp.arange(1.0, 9.0).reshape(1, 1, 1, 8)
    plain = jax.grad(lambda x: local_response_norm(x).sum())(x)
    compiled = jax.jit(jax.grad(lambda x: local_response_norm(x).sum()))(x)
    np.testing.assert_allclose(compiled, plain, rtol=1e-5)
