import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.models import MODELS, create_model, initialize, list_models
from cnn_jax.modules import BatchNorm, Conv
from cnn_jax.randomness import random_key


def test_list_models_gives_the_registry():
    assert list_models() == list(MODELS)
    assert len(list_models()) == len(set(list_models()))


def test_create_model_names_close_matches():
    with pytest.raises(ValueError, match=r"unknown model 'resnet20cifar'; did you mean resnet20_cifar"):
        create_model("resnet20cifar")
    with pytest.raises(ValueError, match=r"`cnn-jax models` lists them"):
        create_model("transformer")


def test_create_model_refuses_a_negative_number_of_classes():
    with pytest.raises(ValueError, match="`num_classes` must be positive, or 0 for features, got -1"):
        create_model("lenet5", num_classes=-1)


def test_create_model_refuses_an_option_that_does_not_apply():
    with pytest.raises(ValueError, match="`shortcut` is no option of lenet5; it takes activation, norm"):
        create_model("lenet5", options={"shortcut": "A"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "rellu"}, r"`activation` must be one of .* got 'rellu'. Did you mean 'relu'\?"),
        ({"width": "wide"}, "`width` must be of type float, got 'wide'"),
        ({"width": 0.0}, "`width` must be positive"),
        ({"width": float("nan")}, "`width` must be positive"),
        ({"dropout": 1.0}, "`dropout` must be at least 0 and below 1"),
        ({"wdth": 1.0}, r"`wdth` is no option of lenet5; .* Did you mean `width`\?"),
        ({"remat": True}, "`remat` is no option of lenet5"),
    ],
)
def test_options_refuse_bad_values(options, message):
    with pytest.raises(ValueError, match=message):
        create_model("lenet5", options=options)


def test_what_tells_networks_apart_and_what_is_given_otherwise_are_no_options():
    for options in ({"depths": (1, 1, 1)}, {"remat": True}, {"num_classes": 3}):
        with pytest.raises(ValueError, match="is no option of resnet20_cifar"):
            create_model("resnet20_cifar", options=options)
    with pytest.raises(ValueError, match="`remat` is no option of lenet5, which has no blocks to compute again"):
        create_model("lenet5", remat=True)


def test_a_name_cut_short_is_completed():
    with pytest.raises(ValueError, match="unknown model 'resnet20'; did you mean resnet20_cifar, resnet20_v2_cifar"):
        create_model("resnet20")


def test_model_refuses_integers_and_other_ranks():
    model = create_model("resnet20_cifar")
    key = jax.random.key(0)
    with pytest.raises(TypeError, match="takes normalised floating-point images, got uint8"):
        model.init(key, jnp.zeros((1, 32, 32, 3), jnp.uint8), train=False)
    with pytest.raises(ValueError, match=r"of shape \[batch, height, width, channels\], got \(32, 32, 3\)"):
        model.init(key, jnp.zeros((32, 32, 3)), train=False)


def test_initialize_repeats_to_the_bit_and_another_seed_differs():
    model = create_model("lenet5")

    def draw(seed):  # compiled anew
        return initialize(model, {"params": jax.random.key(seed)}, (28, 28, 1))["params"]

    first, again, other = draw(0), draw(0), draw(1)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["c1"]["kernel"], other["c1"]["kernel"])


class Small(nn.Module):
    """A network with what is drawn and what is not, small enough for `init` to run operation by operation."""

    @nn.compact
    def __call__(self, images, *, train):
        x = BatchNorm()(Conv(2, (3, 3))(images), train=train)
        return nn.Dense(3)(x.mean((1, 2)))


@pytest.mark.parametrize(
    "model",
    [
        Small(),
        pytest.param(create_model("lenet5"), marks=pytest.mark.slow),
        pytest.param(create_model("resnet8_cifar"), marks=pytest.mark.slow),
    ],
    ids=["small", "lenet5", "resnet8_cifar"],
)
def test_initialize_draws_what_init_draws_and_so_it_does_within_a_program(model):
    shape = (28, 28, 1)
    keys = {"params": random_key(3, "init"), "dropout": jax.random.key(0)}
    plain = model.init(keys, jnp.zeros((1, *shape)), train=False)
    jax.tree.map(np.testing.assert_array_equal, initialize(model, keys, shape), plain)
    within = jax.jit(lambda keys: initialize(model, keys, shape))(keys)
    jax.tree.map(np.testing.assert_array_equal, within, plain)
    shapes = jax.eval_shape(lambda: initialize(model, keys, shape))
    assert jax.tree.map(lambda a: (a.shape, a.dtype), shapes) == jax.tree.map(lambda a: (a.shape, a.dtype), plain)
