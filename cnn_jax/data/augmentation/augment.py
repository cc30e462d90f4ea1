"""Augmentation as text: "pad_crop(4)", "horizontal_flip()", … parsed once, applied in order inside jit.

A configuration has two such lists, because evaluation must see the same kind of image as training but nothing random:

    augment=("resize(28)", "pad_crop(2)")   in training
    eval_augment=("resize(28)",)            in evaluation; only operations that draw nothing are allowed

What is drawn for an example depends on (seed, operation, epoch, the example's index) alone: not on the batch size, the
device, or the other operations in the list.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Num

from ...randomness import random_key
from ..call import parse_call
from ..interpolation import Interpolation
from . import colour, geometry
from .affine import rotate, rotate90
from .crop import random_resized_crop
from .erase import cutout, random_erasing
from .image_op import FixedOp, ImageOp
from .mix import OPERATIONS as MIXING
from .policy import rand_augment, trivial_augment


def _scaling(interpolation: Interpolation) -> dict[str, Callable[..., ImageOp]]:
    """The operations that scale images: how is not written in each, but once for all of a configuration."""
    operations: dict[str, Callable[..., ImageOp]] = {
        "random_resized_crop": random_resized_crop,
        "resize": geometry.resize,
        "resize_shorter": geometry.resize_shorter,
    }
    return {name: partial(operation, interpolation) for name, operation in operations.items()}


OPERATIONS: dict[str, Callable[..., ImageOp]] = {
    "pad_crop": geometry.pad_crop,
    "random_crop": geometry.random_crop,
    **_scaling("bilinear"),
    "center_crop": geometry.center_crop,
    "pad": geometry.pad,
    "horizontal_flip": geometry.horizontal_flip,
    "vertical_flip": geometry.vertical_flip,
    "rotate90": rotate90,
    "rotate": rotate,
    "to_rgb": colour.to_rgb,
    "grayscale": colour.grayscale,
    "random_grayscale": colour.random_grayscale,
    "brightness": colour.brightness,
    "contrast": colour.contrast,
    "saturation": colour.saturation,
    "hue": colour.hue,
    "pca_lighting": colour.pca_lighting,
    "cutout": cutout,
    "random_erasing": random_erasing,
    "rand_augment": rand_augment,
    "trivial_augment": trivial_augment,
}


@dataclass(frozen=True)
class Augment:
    """Parsed operations; equal and hashable by their text and interpolation, so it can be a static argument of jit."""

    specs: tuple[str, ...]
    interpolation: Interpolation
    ops: tuple[ImageOp, ...] = field(compare=False, repr=False)
    purposes: tuple[str, ...] = field(compare=False, repr=False)

    def output_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape [H, W, C] of an image after all operations."""
        images = jax.ShapeDtypeStruct((1, *image_shape), jnp.uint8)
        example = jax.ShapeDtypeStruct((1,), jnp.int32)
        out = jax.eval_shape(lambda x, i: apply_augment(self, x, seed=0, epoch=i, index=i), images, example)
        _, height, width, channels = out.shape
        return height, width, channels


def parse_augment(
    specs: Sequence[str], *, allow_random: bool = True, interpolation: Interpolation = "bilinear"
) -> Augment:
    """Turn calls written as text, with literal arguments, into operations.

    Args:
        allow_random: False for evaluation, where every image must be seen as it is.
        interpolation: of those that scale.

    Raises:
        ValueError: for what is not a call with literal arguments, an unknown name (close matches are named), arguments
            that the operation does not take, or a random operation where none is allowed.

    Example:
        >>> parse_augment(["pad_crop(4)", "horizontal_flip()"]).output_shape((32, 32, 3))
        (32, 32, 3)
    """
    operations = OPERATIONS | _scaling(interpolation)
    ops, purposes, seen = [], [], dict[str, int]()
    for spec in specs:
        if spec.split("(")[0].strip() in MIXING:
            raise ValueError(f"{spec!r} mixes the images of a batch with each other; write it in `data.mix`.")
        name, op = parse_call(spec, operations, "augmentation")
        if not allow_random and not isinstance(op, FixedOp):
            raise ValueError(f"{spec!r} is random, and evaluation must not be; leave it out of `eval_augment`.")
        # The second "pad_crop" of a list draws other numbers than the first, yet no operation's draw depends on its
        # neighbours.
        seen[name] = seen.get(name, -1) + 1
        purposes.append(f"augment/{name}/{seen[name]}")
        ops.append(op)
    return Augment(tuple(specs), interpolation, tuple(ops), tuple(purposes))


def scales(specs: Sequence[str]) -> bool:
    """Whether any of these operations scales images, as an interpolation says."""
    return any(spec.split("(")[0].strip() in _scaling("bilinear") for spec in specs)


def apply_augment(
    augment: Augment,
    images: Num[Array, "b h w c"],
    *,
    seed: int,
    epoch: Int[Array, " b"],
    index: Int[Array, " b"],
) -> Num[Array, "b h2 w2 c2"]:
    """Apply the operations in order. Call it inside jit.

    Args:
        images: on the scale 0..255, uint8 or floating point.
        seed, epoch, index: the address of each example's randomness, as the batch carries them.

    Returns:
        Images on the scale 0..255: uint8 where every operation kept it, else float32.
    """
    for op, purpose in zip(augment.ops, augment.purposes, strict=True):
        if isinstance(op, FixedOp):
            images = jax.vmap(op.apply)(images)
        else:
            keys = jax.vmap(partial(random_key, seed, purpose))(epoch, index)
            images = jax.vmap(op.apply)(keys, images)
    return images


def normalize(
    images: Num[Array, "b h w c"], mean: Sequence[float], std: Sequence[float], dtype: DTypeLike = jnp.float32
) -> Float[Array, "b h w c"]:
    """(image / 255 − mean) / std per channel, computed in float32 (float64 for float64) and returned as `dtype`.

    Args:
        mean, std: on the scale 0..1, one for each channel, or a single one for all.

    Raises:
        ValueError: where there is neither one value nor one for each channel.
    """
    channels = images.shape[-1]
    for name, value in (("mean", mean), ("std", std)):
        if len(value) not in (1, channels):
            raise ValueError(f"`normalize.{name}` has {len(value)} values, but the images have {channels} channels.")
    exact = jnp.promote_types(dtype, jnp.float32)
    shift, scale = (jnp.asarray(value, exact).reshape(1, 1, 1, -1) for value in (mean, std))
    return ((images.astype(exact) / 255 - shift) / scale).astype(dtype)
