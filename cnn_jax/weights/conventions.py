"""What the images looked like that published weights were trained on."""

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal

from cnn_jax.weights import stated
from cnn_jax.weights.description import read_description
from cnn_jax.weights.files import WeightsError
from cnn_jax.weights.timm_config import read_timm_config, timm_config_path


@dataclasses.dataclass(frozen=True)
class InputConvention:
    """How an RGB image in 0..1 becomes a network's input: resized, cropped, then (image − mean) / std per channel.

    Args:
      mean, std: per channel.
      resize: length that the shorter side is brought to first, in pixels.
      crop: side of the central square that the network sees.
      interpolation: of the resizing.
      source: where the numbers come from.
      test_resize, test_crop: the same at evaluation, where the published accuracy is for another size; None: the same.
      operations: what brings an image to the network's size, as `DataConfig.eval_augment`; empty: resize and crop.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int
    crop: int
    interpolation: Literal["bilinear", "bicubic"]
    source: str
    test_resize: int | None = None
    test_crop: int | None = None
    operations: tuple[str, ...] = ()

    @property
    def eval_augment(self) -> tuple[str, ...]:
        """What brings an image of evaluation to the network's size."""
        sizes = self.test_resize or self.resize, self.test_crop or self.crop
        return self.operations or (f"resize_shorter({sizes[0]})", f"center_crop({sizes[1]})")

    def as_dict(self) -> dict[str, Any]:
        """What a weights file says of it."""
        values = {"mean": self.mean, "std": self.std, "interpolation": self.interpolation}
        return {**values, "eval_augment": self.eval_augment, "size": self.crop}


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Caffe subtracts the mean of each channel from 0..255 and divides by nothing. Its BGR order is folded into the first
# kernel when the weights are read.
_CAFFE = (tuple(v / 255 for v in (123.68, 116.779, 103.939)), (1 / 255,) * 3)


def input_convention(name: str, path: Path | str) -> InputConvention:
    """The convention that goes with the weights of a network in a file of a kind.

    Args:
      name: of the network.
      path: of the file. `.h5` means Keras. A file that `cnn-jax weights export` wrote says it itself; a `config.json`
        beside it, as timm publishes with its weights, says it all; timm's interpolation is often bicubic. Everything
        else is torchvision's first weights of that name.

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
    if said := stated_input(path):
        return said
    transform_input = name in ("googlenet", "inception_v3")
    mean, std = _HALVES if transform_input else _IMAGENET
    return InputConvention(mean, std, resize, crop, "bilinear", "torchvision, IMAGENET1K_V1")


def stated_input(path: Path | str) -> InputConvention | None:
    """What the file itself, or timm's `config.json` beside it, says of its images; None where nothing is said.

    Raises:
      WeightsError: as `input_convention`.
    """
    description = read_description(path)
    if description is None or not description.input:
        return _timm_input(path)
    try:
        values = description.input
        return InputConvention(
            mean=stated.channels(values["mean"], "mean"),
            std=stated.channels(values["std"], "std", positive=True),
            resize=stated.pixels(values["size"], "size"),
            crop=stated.pixels(values["size"], "size"),
            interpolation=_interpolation(values["interpolation"]),
            source=f"cnn-jax, {description}",
            operations=stated.texts(values["eval_augment"], "eval_augment"),
        )
    except stated.WRONG as error:
        raise WeightsError(f"`{path}`: what it says of its images cannot be read ({error!r}).") from error


def _interpolation(name: Any) -> Literal["bilinear", "bicubic"]:
    if name not in ("bilinear", "bicubic"):
        raise ValueError(f"`interpolation` is {name!r}; known are bilinear and bicubic")
    return name  # type: ignore[no-any-return]


def _timm_input(path: Path | str) -> InputConvention | None:
    config = read_timm_config(path)
    if config is None:
        return None
    values, beside = config["pretrained_cfg"], timm_config_path(path)
    try:
        crop, test_crop = (
            stated.pixels(values.get(key, values["input_size"])[-1], key) for key in ("input_size", "test_input_size")
        )
        part = stated.number(values["crop_pct"], "crop_pct")
        test_part = stated.number(values.get("test_crop_pct", part), "test_crop_pct")
        convention = InputConvention(
            mean=stated.channels(values["mean"], "mean"),
            std=stated.channels(values["std"], "std", positive=True),
            resize=stated.pixels(math.floor(crop / part), "input_size by crop_pct"),
            crop=crop,
            interpolation=values["interpolation"],
            source=f"timm, {config['architecture']}.{values.get('tag', '')}".rstrip("."),
            test_resize=stated.pixels(math.floor(test_crop / test_part), "test_input_size by test_crop_pct"),
            test_crop=test_crop,
        )
    except stated.WRONG as error:
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
