"""The layer of a Keras network that each module of ours corresponds to."""

import re
from collections.abc import Iterable

from cnn_jax.models.inception_v3 import BLOCKS, SPLIT
from cnn_jax.weights.files import WeightsError

# The networks of `keras.applications` that have the layers of ours.
KERAS_MODELS = ("vgg16", "vgg19", "resnet50_v1", "resnet50_v2", "inception_v3")


def keras_layer(name: str, module: tuple[str, ...], layers: Iterable[str]) -> str:
    """The name of the Keras layer for a module of the network `name`.

    Args:
      name: one of `KERAS_MODELS`.
      module: path of the module.
      layers: the names of the file's layers; Inception v3's are numbers, that continue from network to network.
    """
    if module[0].startswith("head"):
        return "predictions" if module == ("head",) else module[0]  # a hidden layer is nobody's but ours
    if name.startswith("vgg"):
        return {"fc6": "fc1", "fc7": "fc2"}.get(module[0]) or re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", module[0])
    if name.startswith("resnet"):
        return _resnet(name, module)
    kind = {"conv": "conv2d", "norm": "batch_normalization"}[module[-1]]
    numbered = sorted((n for n in layers if re.fullmatch(rf"{kind}(_\d+)?", n)), key=_number)
    place = INCEPTION_UNITS.index("/".join(module[:-1]))
    if place >= len(numbered):
        raise WeightsError(
            f"the file has {len(numbered)} layers of the kind {kind}, Inception v3 {len(INCEPTION_UNITS)}."
        )
    return numbered[place]


def _resnet(name: str, module: tuple[str, ...]) -> str:
    whole = {"stem_conv": "conv1_conv", "stem_norm": "conv1_bn", "last_norm": "post_bn"}
    if module[0] in whole:
        return whole[module[0]]
    stage, block = map(int, re.findall(r"\d+", module[0]))
    prefix = f"conv{stage + 1}_block{block}_"
    if module[1] == "shortcut":
        return prefix + ("0_conv" if module[2] == "conv" else "0_bn")
    kind, number = re.fullmatch(r"(conv|norm)(\d)", module[1]).groups()  # type: ignore[union-attr]
    if kind == "conv":
        return prefix + f"{number}_conv"
    # Before its convolutions, a pre-activation block normalises once more.
    number = int(number) - (name == "resnet50_v2")
    return prefix + (f"{number}_bn" if number else "preact_bn")


def _number(layer: str) -> int:
    return int(layer.rsplit("_", 1)[1]) if layer[-1].isdigit() and "_" in layer else 0


def _inception_units() -> list[str]:
    units = ["conv1a", "conv2a", "conv2b", "conv3b", "conv4a"]
    for block, branches in BLOCKS.items():
        for branch, chain in branches.items():
            for i, (_, window, *_) in enumerate(chain, start=1):
                unit = f"mixed{block}/{branch}" + (f"_{i}" if len(chain) > 1 else "")
                units += [unit + end for end in "ab"] if window == SPLIT else [unit]
    return units


# In the order in which Keras makes them, which is ours.
INCEPTION_UNITS = _inception_units()
