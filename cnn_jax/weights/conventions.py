"""What the images looked like that published weights were trained on."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Literal

from cnn_jax.paths import local_path
from cnn_jax.weights.files import WeightsError


@dataclasses.dataclass(frozen=True)
class InputConvention:
    """How an RGB image in 0..1 becomes a network's input: resized, cropped, then (image − mean) / std per channel.

    Args:
      mean, std: per channel.
      resize: length that the shorter side is brought to first, in pixels.
      crop: side of the central square that the network sees.
      interpolation: of the resizing.
      source: where the numbers come from.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int
    crop: int
    interpolation: Literal["bilinear", "bicubic"]
    source: str


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Caffe subtracts the mean of each channel from 0..255 and divides by nothing. Its BGR order is folded into the first
# kernel when the weights are read.
_CAFFE = (tuple(v / 255 for v in (123.68, 116.779, 103.939)), (1 / 255,) * 3)


def input_convention(name: str, path: Path | str) -> InputConvention:
    """The convention that goes with the weights of a network in a file of a kind.

    Args:
      name: of the network.
      path: of the file. `.h5` means Keras. A `config.json` beside it, as timm publishes with its weights, says it all;
        timm's interpolation is often bicubic. Everything else is torchvision's first weights of that name.

    torchvision's `transform_input` of GoogLeNet and Inception v3 undoes the usual normalisation and takes halves
    instead: here they simply take halves.

    Raises:
      WeightsError: when that `config.json` cannot be read, or names an interpolation that is neither bilinear nor
        bicubic, or a crop mode other than center.

    Example:
      >>> convention = input_convention("inception_v3", "inception_v3.pth")
      >>> convention.mean, convention.resize, convention.crop
      ((0.5, 0.5, 0.5), 342, 299)
    """
    resize, crop = (342, 299) if name == "inception_v3" else (256, 224)
    if str(path).endswith(".h5"):
        halves = name in ("inception_v3", "resnet50_v2")
        mean, std = _HALVES if halves else _CAFFE
        # Keras publishes no resizing; its networks are customarily evaluated as torchvision's.
        return InputConvention(mean, std, resize, crop, "bilinear", "keras, " + ("tf" if halves else "caffe") + " mode")
    if timm := _timm_config(local_path(path, "FILE", utf8=False)):
        return timm
    transform_input = name in ("googlenet", "inception_v3")
    mean, std = _HALVES if transform_input else _IMAGENET
    return InputConvention(mean, std, resize, crop, "bilinear", "torchvision, IMAGENET1K_V1")


def _timm_config(path: Path) -> InputConvention | None:
    """What the `config.json` beside a file of timm's says; None where there is none, or it is not timm's."""
    beside = path.parent / "config.json"
    if not beside.is_file():
        return None
    try:
        config: Any = json.loads(beside.read_text(encoding="utf-8"))
        if "pretrained_cfg" not in config:
            return None
        values = config["pretrained_cfg"]
        crop = int(values["input_size"][-1])
        convention = InputConvention(
            mean=tuple(map(float, values["mean"])),
            std=tuple(map(float, values["std"])),
            resize=math.floor(crop / values["crop_pct"]),
            crop=crop,
            interpolation=values["interpolation"],
            source=f"timm, {config['architecture']}.{values.get('tag', '')}".rstrip("."),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"`{beside}` is no configuration of timm's: {error!r}; move it away.") from error
    if convention.interpolation not in ("bilinear", "bicubic"):
        raise WeightsError(
            f"`{beside}` asks for {convention.interpolation!r} interpolation; known are bilinear and bicubic: "
            "write the nearer one there."
        )
    if (mode := values.get("crop_mode", "center")) != "center":
        raise WeightsError(
            f"`{beside}` asks for the crop mode {mode!r}; known is center, the middle of the resized image: "
            "write that there, and expect a slightly different accuracy."
        )
    return convention
