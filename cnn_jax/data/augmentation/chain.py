"""Augmentation as text: "pad_crop(4)", "horizontal_flip()", … parsed once, applied in order.

A configuration has two such lists, because evaluation must see the same kind of image as training but nothing random:

    augment=("resize(28)", "pad_crop(2)")   in training
    eval_augment=("resize(28)",)            in evaluation; only operations that draw nothing are allowed

An augmentation is a plain function of one image and its arguments:

    def invert(image, key, probability=0.1):
        return jnp.where(jax.random.bernoulli(key, probability), 255 - image, image)

`image` is [H, W, C] on the scale 0..255, uint8 or float32, and so is what it returns. What else it needs, it asks for
by name: `key` makes it random, every example with a key of its own; `interpolation` is how the configuration scales
images. The rest are arguments, literals in the text: "invert(0.2)".

What is drawn for an example depends on (seed, operation, epoch, the example's index) alone: not on the batch size, the
device, or the other operations in the list.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Num

from cnn_jax.data.augmentation import colour, geometry
from cnn_jax.data.augmentation.affine import rotate, rotate90
from cnn_jax.data.augmentation.crop import random_resized_crop
from cnn_jax.data.augmentation.erase import cutout, random_erasing
from cnn_jax.data.augmentation.image_op import Image
from cnn_jax.data.augmentation.mix import MIXES
from cnn_jax.data.augmentation.policy import rand_augment, trivial_augment
from cnn_jax.data.call import Call, parse_call
from cnn_jax.data.decoding.host_crop import HostCrop, split_host_crop
from cnn_jax.data.decoding.images import Interpolation
from cnn_jax.randomness import Seed, random_key

AUGMENTATIONS: dict[str, Callable[..., Image]] = {
    function.__name__: function
    for function in (
        geometry.pad_crop,
        geometry.random_crop,
        random_resized_crop,
        geometry.resize,
        geometry.resize_shorter,
        geometry.center_crop,
        geometry.pad,
        geometry.horizontal_flip,
        geometry.vertical_flip,
        rotate90,
        rotate,
        colour.to_rgb,
        colour.to_gray,
        colour.grayscale,
        colour.random_grayscale,
        colour.brightness,
        colour.contrast,
        colour.saturation,
        colour.hue,
        colour.pca_lighting,
        cutout,
        random_erasing,
        rand_augment,
        trivial_augment,
    )
}


@dataclass(frozen=True)
class Chain:
    """An augmentation list, divided once: what the host does while it decodes image files, and the rest, on the device.

    Equal and hashable by its operations and their arguments, so it can be a static argument of jit.
    """

    host: HostCrop | None
    device: tuple[Call, ...]

    @property
    def draws(self) -> bool:
        """Whether any operation is random."""
        return (self.host is not None and self.host.random) or any(call.takes("key") for call in self.device)

    @property
    def scales(self) -> bool:
        """Whether any operation scales images, as an interpolation says."""
        return self.host is not None or any(call.takes("interpolation") for call in self.device)

    def with_purposes(self) -> Iterator[tuple[Call, str]]:
        """The device's operations, each with the purpose that addresses its draws.

        The second "pad_crop" of a list draws other numbers than the first, yet no operation's draw depends on its
        neighbours.
        """
        seen = Counter[str]()
        for call in self.device:
            yield call, f"augment/{call.name}/{seen[call.name]}"
            seen[call.name] += 1

    def batch_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape [H, W, C] of an image of a batch: that of the data set's own images, or of the host's crop."""
        return image_shape if self.host is None else self.host.image_shape

    def output_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape [H, W, C] that the device's operations make of an image of a batch, which has `image_shape`.

        Raises:
          ValueError: for arguments that are out of range or of a wrong type, an image that an operation cannot be
            applied to, or an operation that returns no image.
        """
        image, key = jax.ShapeDtypeStruct(image_shape, jnp.uint8), jax.eval_shape(jax.random.key, 0)
        for call in self.device:
            image = jax.eval_shape(call, image, **({"key": key} if call.takes("key") else {}))
            if getattr(image, "ndim", None) != 3:
                raise ValueError(f"{call} must return an image [H, W, C], and returns {image}.")
        height, width, channels = image.shape
        return height, width, channels


def parse_augment(
    specs: Sequence[str | Callable[..., Image]],
    *,
    files: bool = False,
    allow_random: bool = True,
    interpolation: Interpolation = "bilinear",
) -> Chain:
    """Turn a list of operations into the chain of what is done where.

    Args:
      specs: calls written as text, with literal arguments; or functions of your own, as above.
      files: whether the images are files of any size; the first operations then bring them to one on the host.
      allow_random: False for evaluation, where every image must be seen as it is.
      interpolation: of the operations that scale.

    Raises:
      ValueError: for what is not a call with literal arguments, an unknown name (close matches are named), arguments
        that the operation does not take, or a random operation where none is allowed. The values of the arguments
        are looked at when the operation is applied, or asked for its `output_shape`.
      DataError: where a list for image files does not begin by bringing them to one size.

    Example:
      >>> parse_augment(["pad_crop(4)", "horizontal_flip()"]).output_shape((32, 32, 3))
      (32, 32, 3)
    """
    for spec in specs:
        if isinstance(spec, str) and spec.split("(")[0].strip() in MIXES:
            raise ValueError(f"{spec!r} mixes the images of a batch with each other; write it in `data.mix`.")
    host, rest = split_host_crop(specs, interpolation) if files else (None, specs)
    chain = Chain(host, tuple(_parse(spec, interpolation) for spec in rest))
    texts = [spec if isinstance(spec, str) else call.name for spec, call in zip(rest, chain.device, strict=True)]
    random = [text for text, call in zip(texts, chain.device, strict=True) if call.takes("key")]
    random += [str(specs[0])] if host is not None and host.random else []
    if random and not allow_random:
        raise ValueError(f"{random[0]!r} is random, and evaluation must not be; leave it out of `eval_augment`.")
    return chain


def _parse(spec: str | Callable[..., Image], interpolation: Interpolation) -> Call:
    if callable(spec):
        call = Call(getattr(spec, "func", spec).__name__, spec)
    else:
        call = parse_call(spec, AUGMENTATIONS, "augmentation", given=1, offered=("key", "interpolation"))
    offered = (("interpolation", interpolation),) if call.takes("interpolation") else ()
    return Call(call.name, call.function, (*call.arguments, *offered))


def apply_augment(
    chain: Chain, images: Num[Array, "b h w c"], *, seed: Seed, epoch: Int[Array, " b"], index: Int[Array, " b"]
) -> Num[Array, "b h2 w2 c2"]:
    """Apply the device's operations in order. Call it inside jit.

    Args:
      images: on the scale 0..255, uint8 or floating point.
      seed, epoch, index: the address of each example's randomness, as the batch carries them.

    Returns:
      Images on the scale 0..255: uint8 where every operation kept it, else float32.
    """
    for call, purpose in chain.with_purposes():
        if call.takes("key"):
            keys = jax.vmap(partial(random_key, seed, purpose))(epoch, index)
            images = jax.vmap(lambda image, key, call=call: call(image, key=key))(images, keys)
        else:
            images = jax.vmap(call)(images)
    return images
