"""The names of stages, by the layers that lead to them, in every family of networks."""

import doctest
import re

import jax
import numpy as np
import pytest

from cnn_jax.models import abstract_variables, architecture, create_model, features, stages
from cnn_jax.models.stages import in_layers, layers_of_features

# Of each layer of the family, by hand from its paper: the beginnings of the names, and `-` for what has no parameters.
STAGES = {
    "lenet5": "stem c1 | stage1 - | stage2 c3 | pool - | logits c5 f6 head",
    "alexnet": "stem conv1 | stage1 - | stage2 conv2 | stage3 conv3 conv4 conv5 | pool - | logits fc6 fc7 head",
    "vgg13_bn": "stem conv1_1 norm1_1 | stage1 conv1_2 norm1_2 | stage2 conv2 norm2 | stage3 conv3 norm3 | "
    "stage4 conv4 norm4 | stage5 conv5 norm5 | pool - | logits fc6 fc7 head",
    "resnet8_cifar": "stem stem | stage1 stage1 | stage2 stage2 | stage3 stage3 | pool - | logits head",
    "resnet20_v2_cifar": "stem stem | stage1 stage1 | stage2 stage2 | stage3 stage3 | pool last_norm | logits head",
    "googlenet": "stem conv | stage1 inception3 | stage2 inception4 | stage3 inception5 | pool - | logits head",
    "inception_v3": "stem conv | stage1 mixed5 | stage2 mixed6 | stage3 mixed7 | pool - | logits head",
}
LONG = ("googlenet", "inception_v3", "resnet20_v2_cifar", "vgg13_bn", "alexnet")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in STAGES])
def test_the_layers_of_a_stage_are_those_of_the_paper(name):
    model, shape = create_model(name), architecture(name).image_shape
    found = layers_of_features(model, shape)
    for expected, (stage, layers) in zip(STAGES[name].split(" | "), found.items(), strict=True):
        named, *beginnings = expected.split()
        assert stage == named
        assert {re.match("|".join(beginnings), layer) is not None for layer in layers} <= {True}
        assert all(any(layer.startswith(b) for layer in layers) for b in beginnings if b != "-")
    assert sorted(layer for layers in found.values() for layer in layers) == sorted(
        abstract_variables(model, shape)["params"]
    )


@pytest.mark.slow
def test_a_feature_depends_on_its_layers_and_those_before_and_on_no_others():
    model, shape = create_model("lenet5", options={"width": 0.5}), (28, 28, 1)
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: random.normal(size=leaf.shape), abstract_variables(model, shape)["params"])
    image = random.normal(size=(1, *shape))
    slopes = jax.jacrev(lambda params: {k: v.sum() for k, v in features(model, {"params": params}, image).items()})(
        params
    )
    before = set()
    for stage, layers in layers_of_features(model, shape).items():
        before |= set(layers)
        moving = {name for name, leaves in slopes[stage].items() if any(np.any(leaf) for leaf in leaves.values())}
        assert moving == before


@pytest.mark.parametrize(
    ("name", "pattern", "frozen"),
    [
        ("lenet5", "stem|stage2", {"c1", "c3"}),
        ("lenet5", "(?!logits)", {"c1", "c3"}),
        ("lenet5", "(?!c5|f6|head)", {"c1", "c3"}),
        ("vgg11", "stem|stage2|stage5", {"conv1_1", "conv2_1", "conv5_1", "conv5_2"}),
        ("vgg11", "stem/kernel", {"conv1_1"}),
        pytest.param("resnet20_v2_cifar", "stem|pool", {"stem_conv", "last_norm"}, marks=pytest.mark.slow),
    ],
)
def test_a_stage_in_a_pattern_stands_for_its_layers(name, pattern, frozen):
    model, shape = create_model(name), architecture(name).image_shape
    expression = in_layers(pattern, model, shape)
    found = {layer for layer in abstract_variables(model, shape)["params"] if re.match(expression, f"{layer}/kernel")}
    assert found == frozen


def test_what_names_layers_stays_as_it_is():
    model = create_model("resnet8_cifar")
    for pattern in ("stem|stage1", "(?!head)", "stage[12]", "stage1_block1/conv1/kernel=0.1", r"\w+/bias"):
        assert in_layers(pattern, model, (32, 32, 3)) == pattern


def test_a_stage_without_parameters_is_refused():
    message = "nothing in `stage1` has parameters of its own in this network; stem, stage2, logits have"
    with pytest.raises(ValueError, match=message):
        in_layers("stem|stage1", create_model("lenet5"), (28, 28, 1))


def test_the_examples_run():
    result = doctest.testmod(stages)
    assert result.failed == 0 and result.attempted > 2
