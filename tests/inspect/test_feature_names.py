import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from looked_at import SHAPE, Named, Own, some_images, variables_of

from cnn_jax.inspect import feature, grad_cam, named_features, spatial_features
from cnn_jax.inspect.feature_names import feature_gradient
from cnn_jax.models import create_model, features, initialize


def test_exposed_features_come_first_and_then_submodules_by_path():
    assert list(named_features(Named(3), variables_of(Named(3)), SHAPE).items()) == [
        ("stem", (8, 10, 3)), ("stage1", (4, 5, 4)), ("pool", (4,)), ("logits", (3,)),
        ("first", (8, 10, 3)), ("second", (4, 5, 4)), ("head", (3,)),
    ]  # fmt: skip
    own = named_features(Own(), variables_of(Own()), SHAPE)
    assert own == {"Conv_0": (8, 10, 2), "Conv_0(2)": (8, 10, 2), "Dense_0": (3,)}
    assert list(spatial_features(Own(), variables_of(Own()), SHAPE)) == ["Conv_0", "Conv_0(2)"]


def test_a_feature_is_what_the_network_computes():
    model, images = Named(3), some_images()
    variables = variables_of(model)
    for name, expected in features(model, variables, images).items():
        np.testing.assert_allclose(feature(model, variables, images, name), expected, rtol=1e-6, atol=1e-6)
    own = variables_of(Own())
    kernel, bias = own["params"]["Conv_0"]["kernel"], own["params"]["Conv_0"]["bias"]
    once = jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(feature(Own(), own, images, "Conv_0"), once + bias, rtol=1e-5, atol=1e-6)
    assert not np.allclose(feature(Own(), own, images, "Conv_0(2)"), once + bias)


def test_a_features_gradient_is_that_of_what_follows_it():
    """By hand: the last convolution of `Own` is followed by a ReLU and a matrix."""
    variables, images = variables_of(Own()), some_images()
    value, gradient = feature_gradient(Own(), variables, images, "Conv_0(2)", jnp.array([2, 0]))
    dense = np.asarray(variables["params"]["Dense_0"]["kernel"])
    expected = (np.asarray(value).reshape(2, -1) > 0) * dense[:, [2, 0]].T
    np.testing.assert_allclose(gradient, expected.reshape(value.shape), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [("lenet5", 28), ("resnet8_cifar", 8), ("resnet20_v2_cifar", 8), ("vgg11", 32), ("googlenet", 40), ("alexnet", 64)],
)
def test_every_exposed_feature_leads_to_the_logits(name, size):
    """A network that goes on with something else than what `expose` returns has no gradient there."""
    model, shape = create_model(name, 3), (size, size, 3)
    variables = initialize(model, {"params": jax.random.key(0)}, shape)
    images = np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32)
    for exposed in features(model, variables, images):
        assert feature_gradient(model, variables, images, exposed, 0)[1].any()


class Flat(nn.Module):
    @nn.compact
    def __call__(self, images, *, train):
        return nn.Dense(3)(images.reshape(len(images), -1))


class Forgetful(Named):
    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Conv(2, (3, 3))(images)
        self.expose("lost", x)
        return self.classify(x.mean((1, 2)))


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (Named(3), "stage2", r"Named has no feature 'stage2'. The nearest are stage1"),
        (Named(3), "zzz", r"Named has no feature 'zzz'. The nearest are stem, stage1, pool"),
        (Named(3), "pool", r"the feature 'pool' is no map but 4 numbers; maps are stem, stage1, first, second"),
        (Forgetful(3), "lost", r"no logit of Forgetful depends on its feature 'lost'.*`x = self.expose\(name, x\)`"),
    ],
)
def test_what_is_no_feature_map_is_refused(model, name, message):
    with pytest.raises(ValueError, match=message):
        grad_cam(model, variables_of(model), some_images(), name)


def test_a_network_without_maps_is_refused():
    with pytest.raises(ValueError, match="Flat has no feature map of more than one place"):
        spatial_features(Flat(), variables_of(Flat()), SHAPE)
