"""The published parameter counts, exactly."""

import jax
import pytest

from cnn_jax.models import MODELS, abstract_variables, create_model

# torchvision's weight metadata; He et al. 2015 for CIFAR (0.27 M there); LeNet-5 is added up in test_lenet.
PARAMETERS = {
    "lenet5": 61_706,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet50_v1": 25_557_032,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "resnet20_cifar": 269_722,
}
# He et al. 2015, table 6, in millions.
MILLIONS = {"resnet32_cifar": 0.46, "resnet44_cifar": 0.66, "resnet56_cifar": 0.85, "resnet110_cifar": 1.7}


def count(name):
    tree = abstract_variables(create_model(name), MODELS[name].image_shape)
    return sum(leaf.size for leaf in jax.tree.leaves(tree["params"]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_equal_the_published_count(name):
    assert count(name) == PARAMETERS[name]


@pytest.mark.parametrize("name", MILLIONS)
def test_parameters_round_to_the_published_millions(name):
    digits = len(str(MILLIONS[name]).split(".")[1])
    assert round(count(name) / 1e6, digits) == MILLIONS[name]
