"""Convolutions of the kinds that CPU compilers get wrong never reach one, whatever this machine's processor."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import conv2d as reference

import cnn_jax.ops
from cnn_jax.ops import conv2d

# Image, kernel, strides, padding, dilation, groups.
ONE_PLACE = {
    "one column": ((2, 9, 2, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    "one row": ((2, 2, 9, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    "one place": ((2, 2, 2, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1),
    "one channel": ((1, 8, 3, 1), (1, 3, 1, 2), (1, 2), ((0, 0), (0, 0)), (1, 1), 1),
    "depthwise": ((1, 9, 2, 3), (3, 3, 1, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 3),
    "dilated": ((1, 7, 4, 2), (3, 2, 2, 2), (1, 3), ((0, 0), (0, 1)), (2, 3), 1),
    "pixels left over": ((1, 8, 6, 2), (3, 4, 2, 2), (2, 5), ((0, 0), (1, 0)), (1, 1), 1),
    "one tap, dilated": ((1, 8, 6, 2), (3, 1, 2, 2), (1, 2), ((0, 0), (0, 0)), (1, 4), 1),
    "nothing but padding": ((1, 8, 2, 2), (3, 2, 2, 2), (1, 9), ((0, 0), (3, 3)), (1, 1), 1),
}
IN_PADDING = {
    "a window": ((1, 6, 5, 2), (1, 3, 2, 3), (3, 1), ((0, 3), (1, 2)), (1, 1), 1),
    "every window of an axis": ((2, 9, 1, 3), (3, 1, 3, 2), (4, 2), ((0, 3), (1, 2)), (1, 2), 1),
    "a tap": ((1, 1, 7, 4), (2, 3, 4, 3), (1, 1), ((1, 2), (1, 1)), (3, 1), 1),
    "a pixel that no window sees": ((1, 9, 8, 2), (2, 2, 2, 3), (2, 2), ((0, 3), (1, 2)), (2, 2), 1),
    "groups": ((1, 7, 6, 4), (2, 1, 2, 4), (2, 2), ((2, 3), (1, 2)), (1, 1), 2),
    "a window of one tap, a stride": ((1, 6, 7, 2), (1, 1, 2, 3), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    "a stride beyond the window": ((1, 9, 8, 4), (2, 2, 2, 4), (3, 4), ((0, 0), (1, 0)), (1, 1), 2),
    "one place between two taps": ((1, 5, 6, 2), (2, 2, 2, 3), (1, 1), ((0, 0), (0, 0)), (4, 3), 1),
}
HALF = ("bfloat16", pytest.param("float16", marks=pytest.mark.slow))  # which takes the way of bfloat16
TWO_BY_TWO = ((1, 6, 4, 2), (2, 3, 2, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 1)


def function(case):
    _, _, strides, padding, dilation, groups = case
    return lambda x, k: conv2d(x, k, strides=strides, padding=padding, dilation=dilation, groups=groups)


def equations(program):
    for equation in program.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


def convolutions(case, dtype):
    """All convolutions of the value and both gradients: images, windows, outputs (height and width) and parameters."""
    f = function(case)

    def step(x, k):
        y, pull = jax.vjp(f, x, k)
        return y, pull(y)

    program = jax.make_jaxpr(step)(*(jnp.zeros(shape, dtype) for shape in case[:2]))
    found = [e for e in equations(program.jaxpr) if e.primitive.name == "conv_general_dilated"]
    for e in found:
        specs = e.params["dimension_numbers"]
        shapes = e.invars[0].aval.shape, e.invars[1].aval.shape, e.outvars[0].aval.shape
        yield [[s[i] for i in spec[2:]] for s, spec in zip(shapes, specs, strict=True)], e.params


@pytest.mark.parametrize("dtype", ["float32", *HALF])
@pytest.mark.parametrize("choice", ["auto", "xla"])
@pytest.mark.parametrize("case", ONE_PLACE.values(), ids=ONE_PLACE.keys())
def test_no_convolution_with_one_place_has_a_stride(case, choice, dtype):
    with cnn_jax.ops.context(conv=choice):
        for (_, window, out), how in convolutions(case, dtype):
            assert not any(out[i] == 1 and how["window_strides"][i] > 1 and window[i] > 1 for i in range(2)), (
                window,
                out,
                how,
            )


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("choice", ["auto", "xla"])
@pytest.mark.parametrize("case", IN_PADDING.values(), ids=IN_PADDING.keys())
def test_no_window_or_tap_in_half_precision_sees_padding_alone(case, choice, dtype):
    with cnn_jax.ops.context(conv=choice):
        found = list(convolutions(case, dtype))
    for (image, window, out), how in found:
        for i in range(2):
            spread, (low, _) = how["lhs_dilation"][i], how["padding"][i]
            meets = np.zeros((out[i], window[i]), bool)
            for place, tap in itertools.product(range(out[i]), range(window[i])):
                at = place * how["window_strides"][i] + tap * how["rhs_dilation"][i] - low
                meets[place, tap] = at % spread == 0 and 0 <= at // spread < image[i]
            assert meets.any(0).all() and meets.any(1).all(), how


@pytest.mark.parametrize("choice", ["auto", "xla"])
def test_no_spread_convolution_of_two_taps_is_without_padding(choice):
    # XLA takes such an axis for a group and ends the process in a failed check (conv_operand_swapper).
    with cnn_jax.ops.context(conv=choice):
        for (_, window, _), how in convolutions(TWO_BY_TWO, "float32"):
            assert not any(
                window[i] == how["lhs_dilation"][i] == 2 and how["padding"][i] == (0, 0) for i in range(2)
            ), how


@pytest.mark.parametrize("choice", ["auto", pytest.param("xla", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "case",
    [*ONE_PLACE.values(), *IN_PADDING.values(), TWO_BY_TWO],
    ids=[*ONE_PLACE, *IN_PADDING, "two by two"],
)
def test_what_is_avoided_keeps_its_value_and_gradients(case, choice):
    rng = np.random.default_rng(0)
    x, k = (rng.normal(size=shape).astype(np.float32) for shape in case[:2])
    for dtype, bound in (("float32", 2**-20), ("bfloat16", 2**-5)):  # of the sum of absolute products
        inputs = jnp.asarray(x, dtype), jnp.asarray(k, dtype)
        exact = [np.asarray(a, np.float64) for a in inputs]
        with cnn_jax.ops.context(conv=choice):
            f = function(case)
            g = jnp.asarray(rng.normal(size=jax.eval_shape(f, *inputs).shape), dtype)
            ours = jax.jit(lambda x, k, g, f=f: (f(x, k), *jax.vjp(f, x, k)[1](g)))(*inputs, g)
        gradients = reference(*exact, *case[2:], np.asarray(g, np.float64))
        sizes = reference(*map(abs, exact), *case[2:], abs(np.asarray(g, np.float64)))
        expected = zip(ours, (reference(*exact, *case[2:]), *gradients), strict=True)
        sizes = reference(*map(abs, exact), *case[2:]), *sizes
        for (found, true), size in zip(expected, sizes, strict=True):
            assert np.all(np.abs(np.asarray(found, np.float64) - true) <= bound * size)


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (0, 8, 8, 16)])
def test_an_empty_batch_has_gradients_of_zero(shape, strides):
    kernel = jnp.ones((3, 3, shape[3], 8))
    y, pull = jax.vjp(lambda x, k: conv2d(x, k, strides=strides), jnp.zeros(shape), kernel)
    dx, dkernel = pull(y)
    assert y.shape == (0, 8 // strides, 8 // strides, 8)
    assert dx.shape == shape
    np.testing.assert_array_equal(dkernel, np.zeros(kernel.shape))


@pytest.mark.parametrize("case", ["a window of one tap, a stride", "a stride beyond the window", "a tap"])
def test_half_precision_under_xla_keeps_forward_mode(case):
    f = function(IN_PADDING[case])
    rng = np.random.default_rng(0)
    # Small integers, so that every product and sum is exact.
    x, k, dx, dk = (jnp.asarray(rng.integers(-2, 3, shape), "bfloat16") for shape in IN_PADDING[case][:2] * 2)
    with cnn_jax.ops.context(conv="xla"):
        tangent = jax.jvp(f, (x, k), (dx, dk))[1]
        pulled = jax.jvp(lambda k: jax.vjp(lambda x: f(x, k), x)[1](f(x, dk))[0], (k,), (dk,))[1]
        np.testing.assert_array_equal(np.asarray(tangent, np.float32), np.asarray(f(dx, k) + f(x, dk), np.float32))
        expected = jax.vjp(lambda x: f(x, dk), x)[1](f(x, dk))[0]
        np.testing.assert_array_equal(np.asarray(pulled, np.float32), np.asarray(expected, np.float32))
