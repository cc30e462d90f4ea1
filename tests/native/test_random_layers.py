"""The kernels on random normalisations and poolings, against loops in float64, and with one, two and four threads.

A hundred always, two thousand under `-m slow`. `layer_cases.py` holds the cases.
"""

from functools import partial

import jax
import layer_cases as cases
import numpy as np
import pytest
import random_cases
from test_random_convolutions import agree_with_loops_and_with_themselves


@pytest.mark.parametrize(
    ("first", "count"), [(0, 100), pytest.param(100, 2000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_layers_agree_with_loops_and_with_themselves_on_any_number_of_threads(first, count):
    agree_with_loops_and_with_themselves(cases.__file__, first, count)


@pytest.mark.parametrize("dtype", random_cases.DTYPES)
def test_pooled_maps_are_exact(dtype):
    for i in range(1, 40, 2):
        how, arrays = cases.draw(i)[1], cases.arguments(i, dtype)
        found = jax.jit(partial(cases.kernels_of_pool, how))(*arrays)[0]
        np.testing.assert_array_equal(np.asarray(found, np.float64), cases.loops_of_pool(how, *arrays)[0])


def test_the_layer_cases_reach_what_they_are_meant_to_reach():
    norms, pools = ([cases.draw(i) for i in range(first, 100, 2)] for first in (0, 1))
    assert {how[1:] for _, how in norms} == {(a, b) for a in (False, True) for b in (False, True)}
    channels = [shape[3] for shape, _ in norms + pools]
    assert min(channels) == 1 and max(channels) > 500
    windows, strides = (np.array([how[i] for _, how in pools]) for i in range(2))
    assert set(windows.flat) == {1, 2, 3, 4, 5} and set(strides.flat) == {1, 2, 3, 4}
    assert {shape[0] for shape, _ in pools} == set(range(6))
    assert any(min(size) >= 2 and tuple(map(sum, how[2])) > (0, 0) for (_, *size, _), how in pools)


@pytest.mark.parametrize(
    ("case", "handlers"), [(0, ("Normalization", "NormalizationGradient")), (1, ("MaxPoolGradient",))]
)
def test_what_ran_of_the_layers_is_the_handler(case, handlers):
    function = partial(cases.KERNELS[case], cases.draw(case)[1])
    lowered = jax.jit(function).lower(*cases.arguments(case, "float32"))
    for handler in handlers:
        assert lowered.as_text().count(f"@cnn_jax_{handler}(") == 1
        assert lowered.compile().as_text().count(f'custom_call_target="cnn_jax_{handler}"') == 1


def test_the_loops_of_layers_know_cases_worked_by_hand():
    x = np.array([1.0, 3]).reshape(1, 1, 2, 1)
    one, zero, g = np.ones(1), np.zeros(1), np.array([1.0, 0]).reshape(x.shape)
    y, mean, var, *gradients = cases.loops_of_norm((3.0, True, True), x, one, zero, g, zero, one, np.ones(x.shape))
    # (x - 2) / sqrt(1 + 3) + 1, all positive; dx = g / 2 - 1 / 4 - z (-1 / 4) (1 / 2) / (2 * 2) + 2 z / 2
    assert (mean, var, y.ravel().tolist()) == (2, 1, [0.5, 1.5])
    dx, dscale, dbias, around = gradients
    assert (dscale, dbias, around.ravel().tolist()) == (-0.5, 1, [1, 0])
    assert dx.ravel().tolist() == [0.25 - 1 / 16 - 1, -0.25 + 1 / 16 + 1]
    x, g = np.array([1.0, 2, 2, np.nan]).reshape(1, 1, 4, 1), np.array([1.0, 2, 4]).reshape(1, 1, 3, 1)
    y, dx = cases.loops_of_pool(((1, 3), (1, 2), ((0, 0), (1, 2))), x, g)
    # Padded - 1 2 2 nan - -, at every second place: - 1 2, and 2 2 nan, and nan - -.
    np.testing.assert_array_equal(y.ravel(), [2, np.nan, np.nan])
    assert dx.ravel().tolist() == [0, 1, 0, 6]
