"""The names of the networks, and what each stands for."""

import dataclasses
import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, get_args

import jax.numpy as jnp

from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.inception_v3 import InceptionV3
from cnn_jax.models.lenet import LeNet5
from cnn_jax.models.network import Network
from cnn_jax.models.resnet import ResNet
from cnn_jax.models.resnet_v2 import ResNetV2
from cnn_jax.models.vgg import VGG
from cnn_jax.nearest import nearest_names
from cnn_jax.typed import typed


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A published network: its constructor, and the images and classes that it was published for."""

    constructor: partial[Any]
    """The family, with what this network has in place of the family's defaults."""
    image_shape: tuple[int, int, int] = (224, 224, 3)
    num_classes: int = 1000

    @property
    def family(self) -> type[Network]:
        """The class of the network."""
        return self.constructor.func  # type: ignore[return-value]

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """What may be chosen: arguments of the constructor, by name, with their types and the published values."""
        given = {"num_classes", "dtype", "remat", "parent", "name", *self.family.structure}
        return {k: p for k, p in inspect.signature(self.constructor).parameters.items() if k not in given}


def _vgg(*depths: int, **published: Any) -> Architecture:
    return Architecture(partial(VGG, depths=depths, **published))


def _resnet(*depths: int, **published: Any) -> Architecture:
    return Architecture(partial(ResNet, depths=depths, **published))


def _resnet_cifar(depth: int, shortcut: Any = "A") -> Architecture:
    """He et al. 2015, §4.2: 6n + 2 layers, n blocks a stage, options A."""
    depths = ((depth - 2) // 6,) * 3
    family = partial(ResNet, depths=depths, stage_features=(16, 32, 64), stem="cifar", shortcut=shortcut)
    return Architecture(family, (32, 32, 3), 10)


def _resnet_v2_cifar(depth: int) -> Architecture:
    """He et al. 2016, appendix: basic blocks up to 110 layers (6n + 2), bottlenecks of 9n + 2 layers beyond."""
    deep = depth > 110
    family = partial(
        ResNetV2,
        depths=((depth - 2) // (9 if deep else 6),) * 3,
        stage_features=(64, 128, 256) if deep else (16, 32, 64),
        stem_features=16,
        inner_features=(16, 32, 64) if deep else None,
        stem="cifar",
        shortcut="B" if deep else "A",
    )
    return Architecture(family, (32, 32, 3), 10)


def _wide_resnet(depth: int, widening: int) -> Architecture:
    """Zagoruyko and Komodakis 2016, table 1: 6n + 4 layers, the projections counted."""
    family = partial(
        ResNetV2,
        depths=((depth - 4) // 6,) * 3,
        stage_features=tuple(widening * features for features in (16, 32, 64)),
        stem_features=16,
        inner_features=None,
        dropout_in_blocks=True,
        stem="cifar",
    )
    return Architecture(family, (32, 32, 3), 10)


MODELS: dict[str, Architecture] = {
    "lenet5": Architecture(partial(LeNet5), (32, 32, 1), 10),
    "alexnet": Architecture(partial(AlexNet)),
    "alexnet_paper": Architecture(
        partial(
            AlexNet,
            conv_features=(96, 256, 384, 384, 256),
            conv_groups=(1, 2, 1, 2, 2),
            first_padding=0,
            response_norm=True,
            bias_of_one=True,
            dropout_before=False,
            kernel_init="normal",  # N(0, 0.01²), §5; the paper of the single tower is silent about it
        ),
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
    "googlenet": Architecture(partial(GoogLeNet)),
    # The paper says 40 % dropout, and nothing about initialisation: Caffe's re-implementation took Glorot's.
    "googlenet_paper": Architecture(
        partial(
            GoogLeNet,
            response_norm=True,
            last_window=3,
            aux_window=5,
            norm="none",
            kernel_init="xavier",
            dropout=0.4,
            five_by_five="5x5",
        )
    ),
    "inception_v3": Architecture(partial(InceptionV3), (299, 299, 3)),
    "resnet18": _resnet(2, 2, 2, 2),
    "resnet34": _resnet(3, 4, 6, 3),
    "resnet50": _resnet(3, 4, 6, 3, bottleneck=True),
    "resnet101": _resnet(3, 4, 23, 3, bottleneck=True),
    "resnet152": _resnet(3, 8, 36, 3, bottleneck=True),
    "resnet50_v1": _resnet(3, 4, 6, 3, bottleneck=True, stride_on_3x3=False),
    "resnet50_v2": Architecture(partial(ResNetV2)),
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
    "plain34": _resnet(3, 4, 6, 3, shortcut="none"),
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
        close = nearest_names(name, MODELS)
        hint = f"did you mean {', '.join(close)}?" if close else "`cnn-jax models` lists them."
        raise ValueError(f"unknown model {name!r}; {hint}")
    return MODELS[name]


def create_model(
    name: str,
    num_classes: int | None = None,
    dtype: Any = jnp.float32,
    options: Mapping[str, Any] | None = None,
    *,
    remat: bool = False,
) -> Network:
    """A network by name.

    Args:
      name: as `list_models` gives it.
      num_classes: width of the classifier; None: as published; 0: none, features instead of logits.
      dtype: of the computation: float32, bfloat16, float16 or float64 (which needs jax's 64-bit mode).
      options: departures from the published network, by name, as {"width": 0.5}.
      remat: compute each block's activations again in the backward pass: less memory, about a third more work.

    Returns:
      A Flax module: `model.init({"params": key, "dropout": key}, images, train=False)` gives variables,
      `model.apply(variables, images, train=False)` logits. Images are NHWC.

    Raises:
      ValueError: for an unknown name, a negative number of classes, or an option that this network does not have or
        that has another value than it takes.

    Example:
      >>> model = create_model("lenet5")
      >>> model.num_classes
      10
    """
    entry = architecture(name)
    num_classes = entry.num_classes if num_classes is None else num_classes
    if num_classes < 0:
        raise ValueError(f"`num_classes` must be positive, or 0 for features, got {num_classes}.")
    choices: dict[str, Any] = _checked(options or {}, entry, name)
    if remat:
        if not hasattr(entry.family, "remat"):
            raise ValueError(f"`remat` is no option of {name}, which has no blocks to compute again; leave it out.")
        choices["remat"] = True
    return entry.constructor(num_classes, dtype, **choices)


def _checked(options: Mapping[str, Any], entry: Architecture, model: str) -> dict[str, Any]:
    """The options with every name and value checked."""
    checked = {}
    for name, value in options.items():
        if name not in entry.options:
            close = nearest_names(name, entry.options, most=1)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise ValueError(f"`{name}` is no option of {model}; it takes {', '.join(entry.options)}.{hint}")
        hint = entry.options[name].annotation
        try:
            checked[name] = typed(value, hint)
        except (TypeError, OverflowError):
            choices = [str(choice) for choice in get_args(hint)]
            close = nearest_names(str(value), choices, most=1)
            wanted = f"one of {', '.join(choices)}" if choices else f"of type {hint.__name__}"
            nearest = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"`{name}` must be {wanted}, got {value!r}.{nearest}") from None
    return checked
