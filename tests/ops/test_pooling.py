import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

from cnn_jax.ops import adaptive_avg_pool, avg_pool, context, max_pool

# (image, window, strides, padding, ceil mode)
CASES = {
    "2x2": ((2, 6, 4, 3), (2, 2), (2, 2), ((0, 0), (0, 0)), False),
    "2x2 floor": ((1, 7, 5, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), False),
    "2x2 ceil": ((1, 7, 5, 2), (2, 2), (2, 2), ((0, 0), (0, 0)), True),
    "3x3 stride 2 pad 1": ((1, 8, 7, 2), (3, 3), (2, 2), ((1, 1), (1, 1)), False),
    "3x3 stride 2 ceil": ((1, 8, 6, 2), (3, 3), (2, 2), ((0, 0), (0, 0)), True),
    "3x3 stride 2 pad 1 ceil": ((1, 8, 7, 2), (3, 3), (2, 2), ((1, 1), (1, 1)), True),
    "3x3 stride 1 pad 1": ((1, 5, 5, 3), (3, 3), (1, 1), ((1, 1), (1, 1)), False),
    "last window would start in the padding": ((1, 4, 4, 1), (2, 2), (2, 2), ((1, 1), (1, 1)), True),
    "uneven": ((1, 7, 9, 2), (2, 3), (3, 1), ((0, 1), (2, 0)), False),
}


def check(f, expected, gradient, x):
    g = np.random.default_rng(1).normal(size=expected.shape).astype(np.float32)
    y, pulled = value_and_pulled(f)(x, g)
    # Averages of at most nine float32 numbers.
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(pulled, gradient(g), rtol=1e-6, atol=1e-6)


def value_and_pulled(f):
    """A function's value at `x` and what its gradient makes of `g`, in one program, which compiles soonest."""

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def both(x, g):
        y, pull = jax.vjp(f, x)
        return y, pull(g)[0]

    return both


# As a CPU gets it, ours and XLA's own, and as a GPU does.
FORMS = {"auto": {}, "xla": {"conv": "xla"}, "cuda": {"platform": "cuda"}}
# XLA's own way has fewer forms than ours.
FEW = ("2x2", "3x3 stride 2 pad 1 ceil", "uneven")
ROWS = [
    pytest.param(case, choice, id=f"{name}-{choice}", marks=[pytest.mark.slow] * (choice == "xla" and name not in FEW))
    for name, case in CASES.items()
    for choice in FORMS
]


@pytest.mark.parametrize(("case", "choice"), ROWS)
def test_pooling_agrees_with_loops_in_value_and_gradient(case, choice):
    image, window, strides, padding, ceil_mode = case
    x = np.random.default_rng(0).normal(size=image).astype(np.float32)
    rest = window, strides, padding, ceil_mode
    arguments = dict(window=window, strides=strides, padding=padding, ceil_mode=ceil_mode)
    for f, kind in (
        (lambda x: max_pool(x, **arguments), "max"),
        (lambda x: avg_pool(x, **arguments), "average"),
        (lambda x: avg_pool(x, **arguments, count_include_pad=False), "average_of_pixels"),
    ):
        with context(**FORMS[choice]):
            check(f, references.pool(x, *rest, kind), lambda g, kind=kind: references.pool(x, *rest, kind, g), x)


@pytest.mark.parametrize("form", FORMS)
def test_max_pool_gives_the_gradient_of_a_tie_to_the_first_pixel(form):
    with context(**FORMS[form]):
        gradient = jax.jit(jax.grad(lambda x: max_pool(x, 3, 2, 1).sum()))(jnp.zeros((1, 4, 4, 1)))
    # Windows start at rows and columns -1 and 1, so their first pixels inside the image are 0 and 1.
    assert gradient[0, :, :, 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_pooling_keeps_the_dtype(pool, dtype):
    with jax.enable_x64(True):
        x = jnp.ones((1, 6, 6, 2), dtype)
        y, gradient = jax.eval_shape(jax.value_and_grad(lambda x: pool(x, 3, 2, 1).sum()), x)
        assert [y.dtype, gradient.dtype, jax.eval_shape(lambda x: pool(x, 3, 2, 1), x).dtype] == [dtype] * 3


@pytest.mark.parametrize("pool", [max_pool, avg_pool])
def test_a_window_that_fits_no_image_is_refused_in_ceil_mode_too(pool):
    # Of 2 pixels, a window of 3 with stride 2 hangs over by one; one of 4 or 5 would begin outside.
    assert pool(jnp.ones((1, 2, 2, 1)), 3, 2, ceil_mode=True).shape == (1, 1, 1, 1)
    for window in (4, 5, (1, 4), (5, 2)):
        with pytest.raises(ValueError, match=f"`{pool.__name__}`: a window of .* does not fit the .* use a smaller"):
            pool(jnp.ones((1, 2, 2, 1)), window, 2, ceil_mode=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(window=0), "window` must be positive"),
        (dict(window=6), "does not fit"),
        (dict(window=2, padding=2), "must be smaller than the window"),
        (dict(window=2, strides=-1), "strides` must be positive"),
    ],
)
@pytest.mark.parametrize("pool", [max_pool, avg_pool])
def test_pooling_refuses_with_the_remedy(pool, arguments, message):
    with pytest.raises(ValueError, match=message):
        pool(jnp.ones((1, 5, 5, 2)), **arguments)


@pytest.mark.parametrize("bins", [1, (2, 3), (4, 5), (5, 4), 7, (12, 9)], ids=str)
def test_adaptive_average_pooling_agrees_with_loops(bins):
    x = np.random.default_rng(0).normal(size=(2, 12, 9, 3)).astype(np.float32)
    pair = (bins, bins) if isinstance(bins, int) else bins
    expected = references.adaptive_average(x, pair)
    y, gradient = value_and_pulled(lambda x: adaptive_avg_pool(x, bins))(x, np.ones_like(expected, np.float32))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient.sum(), 2 * 3 * pair[0] * pair[1], rtol=1e-5)
    with pytest.raises(ValueError, match="output_size` must be positive"):
        adaptive_avg_pool(x, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_the_windows_that_see_them(value):
    x = np.random.default_rng(0).normal(size=(1, 7, 7, 2)).astype(np.float32)
    x[0, 3, 3, 0] = value
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    expected = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2].max((-2, -1))
    for form in FORMS:
        with context(**FORMS[form]):
            np.testing.assert_array_equal(jax.jit(lambda x: max_pool(x, 3, 2, 1))(x), expected, err_msg=form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("window", [2, 3, 6])
@pytest.mark.parametrize("size", [8, 17, 32])
def test_nan_is_lost_in_no_size_of_image(size, window, form):
    x = np.zeros((1, size, size, 8), np.float32)
    x[0, size // 2, size // 2] = np.nan
    with context(**FORMS[form]):
        found = np.isnan(jax.jit(lambda x: max_pool(x, window, 2))(x))
    rows = [r for r in range((size - window) // 2 + 1) if 2 * r <= size // 2 < 2 * r + window]
    assert found.sum() == 8 * len(rows) ** 2 > 0


def test_max_pool_has_second_derivatives_and_maps_over_batches():
    def slope(x):
        return jax.grad(lambda x: (max_pool(x, 3, 2, 1) ** 3).sum())(x)

    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 6, 7, 2)), jnp.float32)
    curvature = jax.jit(jax.vmap(jax.grad(lambda x: (slope(x) ** 2).sum())))(x)
    with context(conv="xla"):
        curve = jax.jit(jax.grad(lambda x: (slope(x) ** 2).sum()))
        expected = jnp.stack([curve(part) for part in x])
    np.testing.assert_allclose(curvature, expected, rtol=1e-4, atol=1e-3)
