"""The published parameter counts, exactly."""

import functools

import jax
import pytest

from cnn_jax.models import MODELS, abstract_variables, create_model
from cnn_jax.models.published import PUBLISHED

# torchvision's weight metadata; He et al. 2015 for CIFAR (0.27 M there); LeNet-5 is added up in test_lenet;
# the networks of 2012 and 2014 are summed by hand from their tables.
PARAMETERS = {
    "lenet5": 61_706,
    "alexnet": 61_100_840,
    "alexnet_paper": 60_965_224,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "googlenet": 6_624_904,
    "googlenet_paper": 6_998_552,
    "inception_v3": 23_834_568,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet50_v1": 25_557_032,
    # As timm's `resnetv2_50`, whose names and shapes are compared in tests/parity.
    "resnet50_v2": 25_549_352,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "resnet20_cifar": 269_722,
    # One block a stage: stem, three stages, head.
    "resnet8_cifar": 464 + 4_672 + 13_952 + 55_552 + 650,
    "wrn16_8": 10_961_370,
    "wrn28_10": 36_479_194,
}
WITH_AUX = {"inception_v3": 27_161_264, "googlenet": 13_004_888, "googlenet_paper": 13_378_280}
# He et al. 2015, table 6, in millions; He et al. 2016 for 164 layers.
MILLIONS = {
    "resnet32_cifar": 0.46,
    "resnet44_cifar": 0.66,
    "resnet56_cifar": 0.85,
    "resnet110_cifar": 1.7,
    "resnet164_v2_cifar": 1.7,
}
# No residual network has more parameters than its plain twin where the shortcuts have none (He et al. 2015, §4.2), and
# what He et al. 2016 change in a block is the order of its layers.
TWINS = {
    "plain34": ("resnet34", {"shortcut": "A"}),
    **{f"plain{depth}_cifar": (f"resnet{depth}_cifar", {}) for depth in (20, 32, 44, 56)},
    **{f"resnet{depth}_v2_cifar": (f"resnet{depth}_cifar", {}) for depth in (20, 32, 44, 56, 110)},
}


@functools.cache
def counts(model, image_shape):
    """The parameters of a network by its modules."""
    tree = abstract_variables(model, image_shape)["params"]
    return {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in tree.items()}


def at_full_depth(name, **options):
    return sum(counts(create_model(name, options=options), MODELS[name].image_shape).values())


def count(name, **options):
    """The parameters of a network, of whose blocks the first two of a stage are built: the others are as the second."""
    model = create_model(name, options=options)
    depths = model.depths if "stage_features" in getattr(model, "structure", ()) else ()
    found = counts(model.clone(depths=tuple(min(2, n) for n in depths)) if depths else model, MODELS[name].image_shape)
    return sum(found.values()) + sum((n - 2) * found[f"stage{i}_block2"] for i, n in enumerate(depths, 1) if n > 2)


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "resnet34")) for n in MODELS])
def test_what_is_counted_by_blocks_is_counted_at_full_depth(name):
    assert count(name) == at_full_depth(name)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_equal_the_published_count(name):
    assert count(name) == PARAMETERS[name] == PUBLISHED[name].parameters


@pytest.mark.parametrize("name", WITH_AUX)
def test_parameters_with_auxiliary_heads_equal_the_published_count(name):
    assert count(name, aux=True) == WITH_AUX[name]


@pytest.mark.parametrize("name", MILLIONS)
def test_parameters_round_to_the_published_millions(name):
    digits = len(str(MILLIONS[name]).split(".")[1])
    assert round(count(name) / 1e6, digits) == MILLIONS[name]
    assert count(name) == PUBLISHED[name].parameters


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_equally_many_parameters(name):
    twin, options = TWINS[name]
    assert count(name) == count(twin, **options) == PUBLISHED[name].parameters


def test_every_network_is_counted():
    assert {*PARAMETERS, *MILLIONS, *TWINS} == set(MODELS)
    assert list(PUBLISHED) == list(MODELS)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        *(("lenet5", 84), ("resnet8_cifar", 64), ("resnet20_v2_cifar", 64), ("vgg11", 4096), ("alexnet", 4096)),
        *(pytest.param(name, n, marks=pytest.mark.slow) for name, n in (("resnet50", 2048), ("googlenet", 1024))),
        pytest.param("inception_v3", 2048, marks=pytest.mark.slow),
    ],
)
def test_a_hidden_layer_before_the_classifier_adds_its_own_parameters(name, features):
    shape = MODELS[name].image_shape
    plain, hidden = (dict(counts(create_model(name, 7, options={"hidden": units}), shape)) for units in (0, 512))
    assert hidden.pop("head_hidden") == features * 512 + 512
    assert (plain.pop("head"), hidden.pop("head")) == (features * 7 + 7, 512 * 7 + 7)
    assert hidden == plain
