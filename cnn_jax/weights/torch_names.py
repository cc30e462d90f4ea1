"""torchvision's name for every module of a network, by rule from the path of ours."""

import re
from collections.abc import Callable

from flax import linen as nn

from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.inception_v3 import InceptionV3
from cnn_jax.models.network import Network
from cnn_jax.models.resnet import ResNet
from cnn_jax.models.vgg import VGG

# What PyTorch calls a layer's arrays.
LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def torch_name(model: nn.Module, path: tuple[str, ...]) -> str:
    """The name of a parameter or running average in torchvision's state dict.

    Args:
      model: whose family decides; families that torchvision does not have keep our names, joined by dots, and a Flax
        module of one's own keeps its own.
      path: collection, modules, leaf: ("params", "stage1_block1", "conv1", "kernel").

    Example:
      >>> from cnn_jax.models import create_model
      >>> torch_name(create_model("resnet18"), ("params", "stage1_block1", "conv1", "kernel"))
      'layer1.0.conv1.weight'
    """
    if not isinstance(model, Network):
        return ".".join(path[1:])
    _, *modules, leaf = path
    if modules[0] == "head_hidden":  # nobody's but ours
        return f"head_hidden.{LEAVES.get(leaf, leaf)}"
    rule = _RULES.get(type(model), lambda model, modules: ".".join(modules))
    return f"{rule(model, modules)}.{LEAVES.get(leaf, leaf)}"


def _resnet(model: nn.Module, modules: list[str]) -> str:
    whole = {"stem_conv": "conv1", "stem_norm": "bn1", "head": "fc"}
    parts = {"shortcut": "downsample", "conv": "0", "norm": "1"}
    first, *rest = modules
    if not rest:
        return whole[first]
    stage, block = re.findall(r"\d+", first)
    rest = [parts.get(part, part.replace("norm", "bn")) for part in rest]
    return ".".join([f"layer{stage}", str(int(block) - 1), *rest])


def _vgg(model: VGG, modules: list[str]) -> str:
    (name,) = modules
    dense = {"fc6": "classifier.0", "fc7": "classifier.3", "head": "classifier.6"}
    if name in dense:
        return dense[name]
    stage, i = map(int, re.findall(r"\d+", name))
    # A convolution counts with its activation, and its normalisation if it has one; each stage ends in a pooling.
    each = 2 if model.norm == "none" else 3
    before = each * (sum(model.depths[: stage - 1]) + i - 1) + (stage - 1)
    return f"features.{before + name.startswith('norm')}"


def _alexnet(model: nn.Module, modules: list[str]) -> str:
    places = {"conv1": 0, "conv2": 3, "conv3": 6, "conv4": 8, "conv5": 10}
    dense = {"fc6": "classifier.1", "fc7": "classifier.4", "head": "classifier.6"}
    (name,) = modules
    return dense[name] if name in dense else f"features.{places[name]}"


def _googlenet(model: nn.Module, modules: list[str]) -> str:
    branches = {
        "one": "branch1",
        "three_reduce": "branch2.0",
        "three": "branch2.1",
        "five_reduce": "branch3.0",
        "five": "branch3.1",
        "pool_project": "branch4.1",
        "norm": "bn",
        "head": "fc",
    }
    whole = {f"aux{i}_{ours}": f"aux{i}.{theirs}" for i in (1, 2) for ours, theirs in _AUX.items()}
    return ".".join((branches | whole).get(part, part) for part in modules)


_AUX = {"conv": "conv", "fc": "fc1", "head": "fc2"}


def _inception_v3(model: nn.Module, modules: list[str]) -> str:
    whole = {
        "conv1a": "Conv2d_1a_3x3",
        "conv2a": "Conv2d_2a_3x3",
        "conv2b": "Conv2d_2b_3x3",
        "conv3b": "Conv2d_3b_1x1",
        "conv4a": "Conv2d_4a_3x3",
        "aux1_conv0": "AuxLogits.conv0",
        "aux1_conv1": "AuxLogits.conv1",
        "aux1_head": "AuxLogits.fc",
        "head": "fc",
        "norm": "bn",
    }
    return ".".join(whole.get(part, part.replace("mixed", "Mixed_")) for part in modules)


_RULES: dict[type[Network], Callable[..., str]] = {
    ResNet: _resnet,
    VGG: _vgg,
    AlexNet: _alexnet,
    GoogLeNet: _googlenet,
    InceptionV3: _inception_v3,
}
