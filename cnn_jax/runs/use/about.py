"""What an exported network says of itself: how an image comes to its size, what its outputs mean, where it is from."""

import dataclasses
import json
from typing import Any, get_args

from cnn_jax.data.decoding.host_crop import HostCrop
from cnn_jax.data.decoding.images import Interpolation
from cnn_jax.weights import stated

FORMAT = 1
"""Of the zip; counted up with a change that an older cnn_jax would misread."""

_MOST_PIXELS = 1 << 24  # of an image that a network sees; a batch of 32 then takes 1.6 GB


class ExportError(ValueError):
    """A network that cannot be exported, or an export that cannot be used: the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class About:
    """What `about.json` holds.

    Attributes:
      network: its name.
      dtype: that it computes in; float64 needs JAX's 64-bit mode.
      class_names: of the outputs, in their order.
      image_shape: (H, W, C) of the uint8 images that the program takes.
      crop: how an image file comes to that shape; None: the largest centred part of that aspect is scaled to it.
      interpolation: of the scaling.
      more: what no program reads: versions, the run, and what happens to an image inside.
    """

    network: str
    dtype: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    crop: HostCrop | None
    interpolation: Interpolation
    more: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_json(self) -> str:
        """The text of the file."""
        shorter = self.crop.shorter if self.crop else None
        scaled = "shorter side" if shorter else "part" if self.crop is None else "whole"
        image = {"shape": self.image_shape, "scaled": scaled, "shorter_side": shorter}
        image["interpolation"] = self.interpolation
        image["in_words"] = _in_words(scaled, shorter, self.interpolation, *self.image_shape)
        head = {"format": FORMAT, "network": self.network, "dtype": self.dtype, "classes": self.class_names}
        return json.dumps({**head, "image": image, **self.more}, indent=2) + "\n"


def _in_words(scaled: str, shorter: int | None, interpolation: str, height: int, width: int, channels: int) -> str:
    colours = {1: "gray (0.299 R + 0.587 G + 0.114 B)", 3: "RGB"}.get(channels, f"{channels} channels")
    size = f"{height} x {width}"
    ways = {
        "part": f"The largest centred part of this aspect is scaled to {size}",
        "whole": f"The whole image is scaled to {size}, whatever its aspect",
        "shorter side": f"The shorter side is scaled to {shorter}, and the middle {size} are cut out",
    }
    return f"{ways[scaled]}, by Pillow's {interpolation} filter; uint8, {colours}."


def read_about(content: bytes) -> About:
    """What a stranger's `about.json` says.

    Raises:
      ExportError: where it is of a newer format, or is none that `export` wrote.
    """
    try:
        found = stated.mapping(json.loads(content), "about.json")
        number = found["format"]
        if number != FORMAT:
            newer = isinstance(number, int) and number > FORMAT
            raise ExportError(
                f"its format is {number!r}, and this version reads {FORMAT}"
                + ("; use a newer cnn_jax." if newer else "; it is no file that `cnn-jax export` wrote.")
            )
        image = stated.mapping(found["image"], "image")
        height, width, channels = (stated.pixels(side, "image.shape") for side in image["shape"])
        if height * width > _MOST_PIXELS or channels > 4:
            raise ValueError(f"`image.shape` {image['shape']} is more than {_MOST_PIXELS:,} pixels, or 4 channels")
        scaled, interpolation = image["scaled"], stated.text(image["interpolation"], "image.interpolation")
        if scaled not in ("part", "whole", "shorter side"):
            raise ValueError(f"`image.scaled` is {scaled!r}")
        if interpolation not in get_args(Interpolation):
            raise ValueError(f"`image.interpolation` is {interpolation!r}")
        shorter = stated.pixels(image["shorter_side"], "image.shorter_side") if scaled == "shorter side" else None
        crop = None if scaled == "part" else HostCrop(height, width, shorter, interpolation=interpolation)  # type: ignore[arg-type]
        if crop is not None and (channels != 3 or (shorter is not None and max(height, width) > shorter)):
            raise ValueError(f"`image.shape` {image['shape']} is not what such a crop leaves")
        return About(
            network=stated.text(found["network"], "network"),
            dtype=stated.text(found["dtype"], "dtype"),
            class_names=stated.texts(found["classes"], "classes"),
            image_shape=(height, width, channels),
            crop=crop,
            interpolation=interpolation,  # type: ignore[arg-type]
            more={key: found[key] for key in ("inside", "run", "versions") if key in found},
        )
    except ExportError:
        raise
    except stated.WRONG as error:
        raise ExportError(f"its about.json cannot be read ({error!r}).") from error
