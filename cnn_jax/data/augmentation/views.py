"""Test-time augmentation: several views of each image, and the average of what a network says about them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from cnn_jax.data.call import parse_call

Images = Num[Array, "b h w c"]
Views = Callable[[Images], Num[Array, "v b h2 w2 c"]]


def flip(images: Images) -> Num[Array, "2 b h w c"]:
    """Two views: the image and its mirror image."""
    return jnp.stack([images, images[:, :, ::-1]])


def ten_crop(images: Images, height: int, width: int | None = None) -> Num[Array, "10 b h2 w2 c"]:
    """Ten views: the four corners and the centre, height × width (a square by default), and their mirror images.

    Source: Krizhevsky et al. 2012, section 4.1.
    """
    width = height if width is None else width
    if height < 1 or width < 1:
        raise ValueError(f"`ten_crop` needs a positive size, got {height}×{width}.")
    down, right = images.shape[1] - height, images.shape[2] - width
    if down < 0 or right < 0:
        raise ValueError(
            f"`ten_crop` cannot cut {height}×{width} out of {images.shape[1]}×{images.shape[2]}; resize to more first."
        )
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    crops = jnp.stack([images[:, y : y + height, x : x + width] for y, x in corners])
    return jnp.concatenate([crops, crops[:, :, :, ::-1]])


VIEWS: dict[str, Callable[..., Num[Array, "v b h2 w2 c"]]] = {"flip": flip, "ten_crop": ten_crop}


def parse_views(spec: str) -> Views:
    """Turn "flip()" or "ten_crop(224)" into the function that makes the views.

    Raises:
      ValueError: as `parse_augment`.
    """
    return parse_call(spec, VIEWS, "test-time", given=1)


def average_views(
    logits_of: Callable[[Images], Float[Array, "b k"]], views: Views, images: Images
) -> Float[Array, "b k"]:
    """The logarithm of the mean, over the views, of the softmax of their logits.

    These are logits again, whose softmax is that mean.

    Source: Krizhevsky et al. 2012, section 4.1 average the softmax outputs.
    """
    batches = views(images)
    stacked = batches.reshape(-1, *batches.shape[2:])
    logits = logits_of(stacked).reshape(batches.shape[0], images.shape[0], -1)
    return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - jnp.log(jnp.asarray(batches.shape[0], logits.dtype))


def seen_shape(image_shape: tuple[int, int, int], views: Views | None) -> tuple[int, int, int]:
    """The shape [H, W, C] of an image in a view; its own without views."""
    if views is None:
        return image_shape
    _, _, *shape = jax.eval_shape(views, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)).shape
    return shape[0], shape[1], shape[2]
