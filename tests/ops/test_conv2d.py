import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import conv2d as reference

import cnn_jax.ops
from cnn_jax.ops import conv2d, im2col

# (image [n, h, w, c], kernel [kh, kw, c / groups, o], strides, padding, dilation, groups)
CASES = {
    "3x3 pad 1": ((2, 6, 7, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "1x1": ((2, 5, 4, 3), (1, 1, 3, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "1x1 stride 2": ((1, 7, 6, 4), (1, 1, 4, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    "7x7 stride 2 stem": ((1, 15, 16, 3), (7, 7, 3, 4), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
    "11x11 stride 4": ((1, 21, 21, 3), (11, 11, 3, 2), (4, 4), ((2, 2), (2, 2)), (1, 1), 1),
    "dilated": ((1, 9, 8, 2), (3, 2, 2, 3), (1, 2), ((2, 0), (1, 3)), (2, 3), 1),
    "grouped": ((2, 6, 6, 6), (3, 3, 2, 9), (2, 1), ((1, 1), (0, 1)), (1, 1), 3),
    "depthwise": ((1, 5, 5, 4), (3, 3, 1, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    "dilated and strided": ((1, 13, 12, 3), (3, 4, 3, 2), (3, 2), ((2, 1), (0, 4)), (2, 3), 1),
    "stride larger than the window": ((2, 9, 11, 2), (2, 1, 2, 3), (3, 4), ((0, 0), (0, 0)), (1, 1), 1),
    "padding larger than the window": ((1, 3, 4, 2), (2, 2, 2, 3), (1, 2), ((4, 3), (3, 5)), (1, 1), 1),
    "window as large as the image": ((3, 4, 5, 2), (4, 5, 2, 6), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
}
# Sums of up to 400 products in float32.
TOLERANCE = dict(rtol=1e-5, atol=2e-5)


def draw(image, kernel, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=image).astype(np.float32), rng.normal(size=kernel).astype(np.float32)


# All by the rule that chooses, some by each way that it may choose.
FEW = ("3x3 pad 1", "grouped", "dilated and strided")
ROWS = [
    pytest.param(case, way, id=f"{name}-{way}", marks=[pytest.mark.slow] * (way != "auto" and name not in FEW))
    for name, case in CASES.items()
    for way in ("xla", "im2col", "matmul", "auto", "auto, in a loop")
]


@pytest.mark.parametrize(("case", "implementation"), ROWS)
def test_conv2d_agrees_with_loops_in_value_and_gradients(case, implementation, monkeypatch):
    if implementation.startswith("auto"):  # the rule leaves some of these small shapes to XLA
        monkeypatch.setattr("cnn_jax.ops.conv_cpu._has_few_channels", lambda kernel, geometry: False)
    if implementation == "auto, in a loop":
        monkeypatch.setattr("cnn_jax.ops.weight_gradient.BLOCK_ROWS", 8)
        monkeypatch.setattr("cnn_jax.ops.weight_gradient.SMALL", 0)
    image, window, strides, padding, dilation, groups = case
    x, kernel = draw(image, window)

    def f(x, kernel):
        return conv2d(x, kernel, strides=strides, padding=padding, dilation=dilation, groups=groups)

    with cnn_jax.ops.context(conv=implementation.split(",")[0]):
        # Compiled whole and quickly: tap by tap, 11 x 11 take long.
        y, pull = jax.vjp(jax.jit(f, compiler_options={"xla_backend_optimization_level": 0}), x, kernel)
    np.testing.assert_allclose(y, reference(x, kernel, strides, padding, dilation, groups), **TOLERANCE)
    g = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    for ours, theirs in zip(pull(g), reference(x, kernel, strides, padding, dilation, groups, g), strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize(
    ("padding", "explicit"),
    [
        ("VALID", ((0, 0), (0, 0))),
        ("SAME", ((0, 1), (1, 1))),  # rows: 6 at stride 2 give 3, so 1 to add, at the end; columns: 7 give 4, so 2
        (1, ((1, 1), (1, 1))),
        ((0, 2), ((0, 0), (2, 2))),
        (((0, 1), (2, 0)), ((0, 1), (2, 0))),
    ],
)
def test_conv2d_padding_means_its_explicit_form(padding, explicit):
    x, kernel = draw((1, 6, 7, 2), (3, 3, 2, 2))
    y = conv2d(x, kernel, strides=2, padding=padding)
    np.testing.assert_allclose(y, reference(x, kernel, (2, 2), explicit, (1, 1), 1), **TOLERANCE)


def test_conv2d_correlates_and_does_not_flip():
    x = jnp.arange(3.0).reshape(1, 1, 3, 1)
    kernel = jnp.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    assert conv2d(x, kernel, padding="VALID").ravel().tolist() == [10.0, 21.0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_conv2d_keeps_the_dtype(dtype):
    with jax.enable_x64(True):
        x, kernel = jnp.ones((1, 4, 4, 2), dtype), jnp.ones((3, 3, 2, 3), dtype)
        y = jax.jit(conv2d)(x, kernel)
        pulled = jax.eval_shape(lambda x, kernel: jax.vjp(conv2d, x, kernel)[1](y), x, kernel)
        assert [a.dtype for a in (y, *pulled)] == [dtype] * 3
        assert y[0, 1, 1, 0] == 18


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(strides=0), ValueError, "strides` must be positive, got 0; use 1"),
        (dict(strides=(1, 2, 3)), ValueError, "strides` must be an integer or a pair"),
        (dict(dilation=1.5), ValueError, "dilation` must be an integer or a pair"),
        (dict(padding="FULL"), ValueError, "padding` must be SAME, VALID"),
        (dict(padding=-1), ValueError, "nothing negative"),
        (dict(padding=(1, 1, 1)), ValueError, "padding` must be SAME"),
        (dict(padding="VALID", dilation=4), ValueError, "does not fit the .* image"),
        (dict(groups=0), ValueError, "groups` must be a positive integer"),
        (dict(groups=2), ValueError, "need a kernel with 1 input channels, got one with 2"),
    ],
)
def test_conv2d_refuses_with_the_remedy(arguments, error, message):
    with pytest.raises(error, match=message):
        conv2d(jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 4)), **arguments)


def test_conv2d_refuses_sizes_and_dtypes_that_do_not_belong_together():
    with pytest.raises(ValueError, match=r"one image is x\[None\]"):
        conv2d(jnp.ones((5, 5, 2)), jnp.ones((3, 3, 2, 4)))
    with pytest.raises(ValueError, match="5 filters cannot be split in 2 equal groups"):
        conv2d(jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 1, 5)), groups=2)
    with pytest.raises(TypeError, match="cast the kernel"):
        conv2d(jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 4), jnp.bfloat16))


@pytest.mark.parametrize("padding", ["SAME", 2])
def test_im2col_turns_the_convolution_into_a_product(padding):
    x, kernel = draw((2, 9, 8, 3), (3, 2, 3, 4))
    columns = im2col(x, (3, 2), (2, 1), padding, (1, 2))
    y = conv2d(x, kernel, strides=(2, 1), padding=padding, dilation=(1, 2))
    np.testing.assert_allclose(columns @ kernel.reshape(-1, 4), y, **TOLERANCE)


def test_im2col_orders_kernel_row_then_column_then_channel():
    x = jnp.arange(18.0).reshape(1, 3, 3, 2)
    assert im2col(x, (2, 2))[0, 1, 0].tolist() == [6, 7, 8, 9, 12, 13, 14, 15]
    with pytest.raises(ValueError, match="does not fit"):
        im2col(x, 4)
