"""The names of the networks, and what each stands for."""

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from cnn_jax.models import alexnet, googlenet, inception_v3, lenet, resnet, resnet_v2, vgg
from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.inception_v3 import InceptionV3
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.network import Network
from cnn_jax.models.options import ModelOptions, resolve
from cnn_jax.models.resnet import ResNet
from cnn_jax.models.resnet_v2 import ResNetV2
from cnn_jax.models.vgg import VGG


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A published network: family, options, the family's fields, and the images and classes it was published for."""

    family: type[Network]
    published: ModelOptions
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    image_shape: tuple[int, int, int] = (224, 224, 3)
    num_classes: int = 1000


def _vgg(*depths: int, norm: Any = "none") -> Architecture:
    return Architecture(VGG, dataclasses.replace(vgg.PUBLISHED, norm=norm), {"depths": depths})


def _resnet(*depths: int, **fields: Any) -> Architecture:
    return Architecture(ResNet, resnet.PUBLISHED, {"depths": depths, **fields})


def _resnet_cifar(depth: int, shortcut: Any = "A") -> Architecture:
    """He et al. 2015, §4.2: 6n + 2 layers, n blocks a stage, options A."""
    published = dataclasses.replace(resnet.PUBLISHED, stem="cifar", shortcut=shortcut)
    fields = {"depths": ((depth - 2) // 6,) * 3, "stage_features": (16, 32, 64)}
    return Architecture(ResNet, published, fields, (32, 32, 3), 10)


def _resnet_v2_cifar(depth: int) -> Architecture:
    """He et al. 2016, appendix: basic blocks up to 110 layers (6n + 2), bottlenecks of 9n + 2 layers beyond."""
    deep = depth > 110
    fields = {
        "depths": ((depth - 2) // (9 if deep else 6),) * 3,
        "stage_features": (64, 128, 256) if deep else (16, 32, 64),
        "stem_features": 16,
        "inner_features": (16, 32, 64) if deep else None,
    }
    published = dataclasses.replace(resnet_v2.PUBLISHED, stem="cifar", shortcut="B" if deep else "A")
    return Architecture(ResNetV2, published, fields, (32, 32, 3), 10)


def _wide_resnet(depth: int, widening: int) -> Architecture:
    """Zagoruyko and Komodakis 2016, table 1: 6n + 4 layers, the projections counted."""
    fields = {
        "depths": ((depth - 4) // 6,) * 3,
        "stage_features": tuple(widening * features for features in (16, 32, 64)),
        "stem_features": 16,
        "inner_features": None,
        "dropout_in_blocks": True,
    }
    return Architecture(ResNetV2, dataclasses.replace(resnet_v2.PUBLISHED, stem="cifar"), fields, (32, 32, 3), 10)


MODELS: dict[str, Architecture] = {
    "lenet5": Architecture(LeNet5, lenet.PUBLISHED, image_shape=(32, 32, 1), num_classes=10),
    "alexnet": Architecture(AlexNet, alexnet.PUBLISHED),
    "alexnet_paper": Architecture(
        AlexNet,
        alexnet.PUBLISHED_2012,
        {
            "conv_features": (96, 256, 384, 384, 256),
            "conv_groups": (1, 2, 1, 2, 2),
            "first_padding": 0,
            "response_norm": True,
            "bias_of_one": True,
            "dropout_before": False,
        },
        (227, 227, 3),
    ),
    "vgg11": _vgg(1, 1, 2, 2, 2),
    "vgg13": _vgg(2, 2, 2, 2, 2),
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "vgg19": _vgg(2, 2, 4, 4, 4),
    "vgg11_bn": _vgg(1, 1, 2, 2, 2, norm="batch"),
    "vgg13_bn": _vgg(2, 2, 2, 2, 2, norm="batch"),
    "vgg16_bn": _vgg(2, 2, 3, 3, 3, norm="batch"),
    "vgg19_bn": _vgg(2, 2, 4, 4, 4, norm="batch"),
    "googlenet": Architecture(GoogLeNet, googlenet.PUBLISHED),
    "googlenet_paper": Architecture(
        GoogLeNet, googlenet.PUBLISHED_2014, {"response_norm": True, "last_window": 3, "aux_window": 5}
    ),
    "inception_v3": Architecture(InceptionV3, inception_v3.PUBLISHED, image_shape=(299, 299, 3)),
    "resnet18": _resnet(2, 2, 2, 2),
    "resnet34": _resnet(3, 4, 6, 3),
    "resnet50": _resnet(3, 4, 6, 3, bottleneck=True),
    "resnet101": _resnet(3, 4, 23, 3, bottleneck=True),
    "resnet152": _resnet(3, 8, 36, 3, bottleneck=True),
    "resnet50_v1": _resnet(3, 4, 6, 3, bottleneck=True, stride_on_3x3=False),
    "resnet50_v2": Architecture(ResNetV2, resnet_v2.PUBLISHED),
    "resnext50_32x4d": _resnet(3, 4, 6, 3, bottleneck=True, groups=32, inner_factor=2),
    "resnext101_32x8d": _resnet(3, 4, 23, 3, bottleneck=True, groups=32, inner_factor=4),
    "wide_resnet50_2": _resnet(3, 4, 6, 3, bottleneck=True, inner_factor=2),
    "wide_resnet101_2": _resnet(3, 4, 23, 3, bottleneck=True, inner_factor=2),
    "resnet8_cifar": _resnet_cifar(8),
    "resnet20_cifar": _resnet_cifar(20),
    "resnet32_cifar": _resnet_cifar(32),
    "resnet44_cifar": _resnet_cifar(44),
    "resnet56_cifar": _resnet_cifar(56),
    "resnet110_cifar": _resnet_cifar(110),
    "resnet20_v2_cifar": _resnet_v2_cifar(20),
    "resnet32_v2_cifar": _resnet_v2_cifar(32),
    "resnet44_v2_cifar": _resnet_v2_cifar(44),
    "resnet56_v2_cifar": _resnet_v2_cifar(56),
    "resnet110_v2_cifar": _resnet_v2_cifar(110),
    "resnet164_v2_cifar": _resnet_v2_cifar(164),
    "wrn16_8": _wide_resnet(16, 8),
    "wrn28_10": _wide_resnet(28, 10),
    "plain34": Architecture(ResNet, dataclasses.replace(resnet.PUBLISHED, shortcut="none"), {"depths": (3, 4, 6, 3)}),
    "plain20_cifar": _resnet_cifar(20, "none"),
    "plain32_cifar": _resnet_cifar(32, "none"),
    "plain44_cifar": _resnet_cifar(44, "none"),
    "plain56_cifar": _resnet_cifar(56, "none"),
}


def list_models() -> list[str]:
    """The names that `create_model` takes."""
    return list(MODELS)


def architecture(name: str) -> Architecture:
    """The entry of the registry called `name`; raises ValueError with close matches for an unknown name."""
    if name not in MODELS:
        longer = [known for known in MODELS if known.startswith(name)]  # resnet20, of which there are two
        close = list(dict.fromkeys(longer + difflib.get_close_matches(name, MODELS, n=3)))[:3]
        hint = f"did you mean {', '.join(close)}?" if close else "`cnn-jax models` lists them."
        raise ValueError(f"unknown model {name!r}; {hint}")
    return MODELS[name]


def create_model(
    name: str, num_classes: int | None = None, dtype: Any = jnp.float32, options: ModelOptions | None = None
) -> Network:
    """A network by name.

    Args:
      name: as `list_models` gives it.
      num_classes: width of the classifier; None: as published; 0: none, features instead of logits.
      dtype: of the computation: float32, bfloat16, float16 or float64 (which needs jax's 64-bit mode).
      options: departures from the published network.

    Returns:
      A Flax module: `model.init({"params": key, "dropout": key}, images, train=False)` gives variables,
      `model.apply(variables, images, train=False)` logits. Images are NHWC.

    Raises:
      ValueError: for an unknown name, a negative number of classes, or an option that this network does not have.

    Example:
      >>> model = create_model("lenet5")
      >>> model.num_classes
      10
    """
    entry = architecture(name)
    num_classes = entry.num_classes if num_classes is None else num_classes
    if num_classes < 0:
        raise ValueError(f"`num_classes` must be positive, or 0 for features, got {num_classes}.")
    choices = resolve(options or ModelOptions(), entry.published, name)
    return entry.family(num_classes, dtype, choices, **entry.fields)
