import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.modules import BasicBlock, Bottleneck, DropPath, Layers, Shortcut

IMAGES = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
KEY = jax.random.key(0)


def test_shortcut_a_takes_every_second_pixel_and_pads_with_zeros():
    y, variables = Shortcut(Layers(), "A", 8, 2).init_with_output(KEY, IMAGES, train=False)
    assert variables == {}
    np.testing.assert_array_equal(y[..., :3], IMAGES[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., 3:], np.zeros((2, 3, 4, 5)))


@pytest.mark.parametrize(("kind", "projects"), [("A", False), ("B", False), ("C", True)])
def test_shortcut_of_equal_shape_projects_only_under_c(kind, projects):
    variables = Shortcut(Layers(), kind, 3, 1).init(KEY, IMAGES, train=False)
    assert ("params" in variables) == projects


def test_shortcut_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="unknown shortcut 'D'; it is one of A, B, C"):
        Shortcut(Layers(), "D", 8, 1).init(KEY, IMAGES, train=False)
    with pytest.raises(ValueError, match="shortcut A cannot take 3 channels to 2"):
        Shortcut(Layers(), "A", 2, 1).init(KEY, IMAGES, train=False)


def test_block_with_zero_scale_starts_as_its_shortcut():
    block = BasicBlock(Layers(), 3, zero_init_scale=True)
    y, _ = block.init_with_output(KEY, IMAGES, False)
    np.testing.assert_array_equal(y, np.maximum(IMAGES, 0))


@pytest.mark.parametrize(("on_3x3", "strides"), [(True, (1, 2)), (False, (2, 1))])
def test_bottleneck_strides_where_it_is_told(on_3x3, strides):
    block = Bottleneck(Layers(), 8, 2, strides=2, stride_on_3x3=on_3x3)
    y, state = jax.eval_shape(
        lambda x: block.init_with_output(KEY, x, False, capture_intermediates=True, mutable=True), IMAGES
    )
    assert y.shape == (2, 3, 4, 8)
    assert state["intermediates"]["conv1"]["__call__"][0].shape[1] == -(-5 // strides[0])


def test_drop_path_drops_whole_examples_and_keeps_the_mean():
    ones = jnp.ones((4000, 2, 2, 1))
    y = DropPath(0.25).apply({}, ones, train=True, rngs={"dropout": KEY})
    assert {float(v) for v in np.unique(y)} == {0.0, float(np.float32(1 / 0.75))}
    np.testing.assert_array_equal(y[:, 0, 0], y[:, 1, 1])
    # The share of 4,000 examples that stay: four standard deviations of a binomial.
    assert abs(float((y[:, 0, 0, 0] > 0).mean()) - 0.75) < 4 * (0.25 * 0.75 / 4000) ** 0.5
    np.testing.assert_array_equal(DropPath(0.25).apply({}, ones, train=False), ones)
