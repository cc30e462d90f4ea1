"""timm's name for every module, where it is not torchvision's: VGG's classifier is made of convolutions there.

timm's ResNets, ResNeXts, wide ResNets and Inception v3 carry torchvision's names. What it calls `resnetv2_50` is
`resnet50_v2`.
"""

import re

from flax import linen as nn

from cnn_jax.models.resnet_v2 import ResNetV2
from cnn_jax.models.vgg import VGG
from cnn_jax.weights.torch_names import LEAVES, torch_name


def timm_name(model: nn.Module, path: tuple[str, ...]) -> str:
    """The name of a parameter or running average in timm's state dict.

    Args:
      model: whose family decides.
      path: collection, modules, leaf: ("params", "fc6", "kernel").
    """
    _, *modules, leaf = path
    leaf = LEAVES.get(leaf, leaf)
    if type(model) is VGG and modules[0] in _VGG_DENSE:
        return f"{_VGG_DENSE[modules[0]]}.{leaf}"
    if type(model) is ResNetV2 and modules[0] != "head_hidden":
        return f"{_resnet_v2(modules)}.{leaf}"
    return torch_name(model, path)


_VGG_DENSE = {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2", "head": "head.fc"}


def _resnet_v2(modules: list[str]) -> str:
    whole = {"stem_conv": "stem.conv", "last_norm": "norm", "head": "head.fc"}
    first, *rest = modules
    if not rest:
        return whole[first]
    stage, block = (int(number) - 1 for number in re.findall(r"\d+", first))
    parts = ("downsample" if part == "shortcut" else part for part in rest)
    return ".".join(["stages", str(stage), "blocks", str(block), *parts])
