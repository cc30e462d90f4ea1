"""First filters, and receptive fields against where a NaN in the image arrives."""

import jax
import numpy as np
import pytest
from flax import linen as nn
from looked_at import SHAPE, Named, Own, variables_of

from cnn_jax.inspect import first_filters, receptive_field, spatial_features
from cnn_jax.inspect.feature_names import with_feature
from cnn_jax.models import create_model, initialize


def seen(model, variables, shape, name, row, column):
    """Top, left, bottom and right of the pixels whose NaN makes one element NaN."""
    height, width, _ = shape
    images = np.zeros((height + width, *shape), np.float32)
    for i in range(height):
        images[i, i] = np.nan
    for j in range(width):
        images[height + j, :, j] = np.nan
    maps = jax.jit(lambda v, x: with_feature(model, v, x, name)[1])(variables, images)
    hit = np.isnan(maps[:, row, column]).any(-1)
    rows, columns = np.flatnonzero(hit[:height]), np.flatnonzero(hit[height:])
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("lenet5", (28, 28, 1)),
        ("vgg11", (32, 32, 3)),
        ("resnet8_cifar", (16, 12, 3)),
        ("resnet20_v2_cifar", (16, 16, 3)),
        ("googlenet", (40, 40, 3)),
        ("alexnet", (64, 64, 3)),
    ],
)
@pytest.mark.slow
def test_a_receptive_field_is_where_a_pixel_is_seen_from(name, shape):
    model = create_model(name, 3)
    check(model, initialize(model, {"params": jax.random.key(0)}, shape), shape)


def test_a_receptive_field_is_where_a_pixel_is_seen_from_with_strides_and_padding():
    check(Named(3), variables_of(Named(3)), SHAPE)


def check(model, variables, shape):
    for feature, (height, width, _) in spatial_features(model, variables, shape).items():
        field = receptive_field(model, variables, shape, feature)
        for row, column in ((0, 0), (height // 2, width // 3), (height - 1, width - 1)):
            top, left, bottom, right = field.box(row, column)
            clipped = max(0, top), max(0, left), min(shape[0], bottom), min(shape[1], right)
            assert clipped == seen(model, variables, shape, feature, row, column), (feature, row, column)


def test_a_network_of_ones_own_has_receptive_fields():
    variables = variables_of(Own())
    assert receptive_field(Own(), variables, SHAPE, "Conv_0(2)") == ((5, 5), (1, 1), (-2, -2))


class Gated(nn.Module):
    """Squeeze and excitation: the mean of all places weighs each of them."""

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Conv(2, (3, 3))(images)
        x = nn.Conv(2, (1, 1), name="gated")(x * nn.sigmoid(x.mean((1, 2), keepdims=True)))
        return nn.Dense(3)(x.mean((1, 2)))


class Shuffled(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Conv(2, (3, 3), name="turned")(images[:, ::-1])
        return nn.Dense(3)(x.mean((1, 2)))


def test_a_gate_sees_the_whole_image():
    assert receptive_field(Gated(), variables_of(Gated()), SHAPE, "gated") == ((8, 10), (0, 0), (0, 0))


def test_where_windows_do_not_say_what_is_seen_nothing_is_said():
    with pytest.raises(ValueError, match="the receptive field of 'turned' cannot be read off Shuffled"):
        receptive_field(Shuffled(), variables_of(Shuffled()), SHAPE, "turned")


def test_the_first_filters_are_the_first_convolutions():
    variables = variables_of(Named(3))
    np.testing.assert_array_equal(first_filters(Named(3), variables, SHAPE), variables["params"]["first"]["kernel"])
    own = variables_of(Own())
    np.testing.assert_array_equal(first_filters(Own(), own, SHAPE), own["params"]["Conv_0"]["kernel"])


class Flattened(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(3)(images.reshape(len(images), -1))


def test_a_network_without_a_convolution_has_no_filters():
    with pytest.raises(ValueError, match="Flattened has no convolution"):
        first_filters(Flattened(), variables_of(Flattened()), SHAPE)
