import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.modules import Conv


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strides": (0, 2)}, r"`Conv.strides` must be positive, got \(0, 2\); use 1 for no striding"),
        ({"kernel_size": 0}, "`Conv.kernel_size` must be positive, got 0"),
        ({"groups": 3}, r"`Conv.features` \(8\) must be a multiple of `groups` \(3\)"),
    ],
)
def test_conv_refuses_bad_sizes_at_construction(fields, message):
    with pytest.raises(ValueError, match=message):
        Conv(**({"features": 8, "kernel_size": 3} | fields))


def test_conv_refuses_channels_that_the_groups_do_not_divide():
    with pytest.raises(ValueError, match=r"`Conv.groups` \(4\) must divide the 6 channels"):
        Conv(8, 3, groups=4).init(jax.random.key(0), jnp.zeros((1, 5, 5, 6)))


def test_conv_is_a_sum_of_products_plus_bias():
    conv = Conv(1, (1, 2), padding="VALID")
    kernel, bias = jnp.array([[[[1.0]], [[10.0]]]]), jnp.array([100.0])
    row = jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    y = conv.apply({"params": {"kernel": kernel, "bias": bias}}, row)
    np.testing.assert_array_equal(y.reshape(-1), [121.0, 132.0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_conv_computes_in_its_dtype_with_float32_parameters(dtype):
    conv = Conv(4, 3, dtype=jnp.dtype(dtype))
    y, variables = conv.init_with_output(jax.random.key(0), jnp.zeros((1, 5, 5, 2)))
    assert y.dtype == dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
