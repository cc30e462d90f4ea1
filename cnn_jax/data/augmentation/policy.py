"""RandAugment and TrivialAugment: one of fourteen operations by chance, at a strength that is fixed or drawn.

Under vmap a switch over fourteen operations would compute all of them for every image. But each is one of three kinds,
so every image goes once through each kind, with parameters that do nothing for the kinds it did not draw: an affine
map, a table of 256 values per channel, and a blend with a degenerate version of itself.

Source: Cubuk et al. 2020 (RandAugment), Müller and Hutter 2021 (TrivialAugment); strengths as torchvision sets them.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from cnn_jax.data.augmentation.affine import affine, rotation
from cnn_jax.data.augmentation.colour import luma
from cnn_jax.data.augmentation.image_op import Image, RandomKey, chance, integers
from cnn_jax.data.augmentation.tables import autocontrast_table, equalize_table, posterize_table, solarize_table

POLICY = (
    *("identity", "rotate", "shear_x", "shear_y", "translate_x", "translate_y"),  # affine maps
    *("autocontrast", "equalize", "posterize", "solarize"),  # tables
    *("brightness", "contrast", "saturation", "sharpness"),  # blends
)
MAGNITUDES = 30  # strengths run from 0 to 30


@dataclass(frozen=True)
class Strengths:
    """What magnitude 30 means.

    Degrees, a slope, a fraction of the side or pixels, lost bits, and the distance of a factor from 1.
    """

    rotate_degrees: float
    shear: float
    translate_fraction: float
    translate_pixels: float
    posterize_bits: int
    blend: float


RAND_AUGMENT = Strengths(30, 0.3, 150 / 331, 0, 4, 0.9)
TRIVIAL_AUGMENT_WIDE = Strengths(135, 0.99, 0, 32, 6, 0.99)


def rand_augment(image: Image, key: RandomKey, num_ops: int = 2, magnitude: int = 9) -> Image:
    """Apply `num_ops` operations, each drawn uniformly with replacement, at this magnitude (0 … 30) and a random sign.

    The images become uint8. Defaults: Cubuk et al. 2020 for ImageNet with ResNet-50.
    """
    if num_ops < 1:
        raise ValueError(f"`rand_augment.num_ops` must be positive, got {num_ops}.")
    if not 0 <= magnitude <= MAGNITUDES:
        raise ValueError(f"`rand_augment.magnitude` must be in 0 .. {MAGNITUDES}, got {magnitude}.")
    for one in jax.random.split(key, num_ops):
        choose, sign = jax.random.split(one)
        operation = integers(choose, 0, len(POLICY))
        image = apply_operation(image, operation, jnp.float32(magnitude), _sign(sign), RAND_AUGMENT)
    return image


def trivial_augment(image: Image, key: RandomKey) -> Image:
    """Apply one operation; it and its magnitude are drawn uniformly ("wide" strengths). The images become uint8."""
    choose, strength, sign = jax.random.split(key, 3)
    operation = integers(choose, 0, len(POLICY))
    magnitude = integers(strength, 0, MAGNITUDES + 1).astype(jnp.float32)
    return apply_operation(image, operation, magnitude, _sign(sign), TRIVIAL_AUGMENT_WIDE)


def _sign(key: RandomKey) -> Float[Array, ""]:
    """−1 or +1, equally likely."""
    return jnp.where(chance(key, 0.5), jnp.float32(1), jnp.float32(-1))


def apply_operation(
    image: Image, operation: Int[Array, ""], magnitude: Float[Array, ""], sign: Float[Array, ""], strengths: Strengths
) -> UInt8[Array, "h w c"]:
    """Apply one of POLICY (by its number) at `magnitude` in 0 … 30.

    The sign, +1 or −1, counts where the operation has a direction.
    """
    chosen = {name: operation == number for number, name in enumerate(POLICY)}
    part = magnitude / MAGNITUDES
    image = jnp.clip(jnp.round(image), 0, 255).astype(jnp.uint8)
    image = affine(image, _matrix(chosen, sign * part, image.shape, strengths), bilinear=False)
    table = _table(chosen, part, image, strengths)
    image = jnp.take_along_axis(table, image.reshape(-1, image.shape[2]).astype(jnp.int32), axis=0).reshape(image.shape)
    return _blend(chosen, 1 + sign * part * strengths.blend, image)


def _matrix(chosen: dict[str, Array], amount: Array, shape: tuple[int, ...], strengths: Strengths) -> Array:
    height, width, _ = shape
    zero = jnp.float32(0)

    def only(name: str, value: Array) -> Array:
        return jnp.where(chosen[name], value, zero)

    matrix = rotation(only("rotate", amount * jnp.deg2rad(jnp.float32(strengths.rotate_degrees))))
    shear_x, shear_y = (only(f"shear_{axis}", amount * strengths.shear) for axis in "xy")
    shift_x, shift_y = (
        only(f"translate_{axis}", -amount * (strengths.translate_fraction * side + strengths.translate_pixels))
        for axis, side in (("x", width), ("y", height))
    )
    # Whole pixels, as torchvision translates.
    return matrix + jnp.array([[zero, shear_x, jnp.trunc(shift_x)], [shear_y, zero, jnp.trunc(shift_y)]])


def _table(chosen: dict[str, Array], part: Array, image: Image, strengths: Strengths) -> UInt8[Array, "256 c"]:
    identity = jnp.broadcast_to(jnp.arange(256, dtype=jnp.uint8)[:, jnp.newaxis], (256, image.shape[2]))
    kept_bits = 8 - jnp.round(part * strengths.posterize_bits).astype(jnp.int32)
    tables = {
        "autocontrast": autocontrast_table(image),
        "equalize": equalize_table(image),
        "posterize": posterize_table(kept_bits)[:, jnp.newaxis],
        "solarize": solarize_table(255 * (1 - part))[:, jnp.newaxis],
    }
    return jnp.select(
        [chosen[name] for name in tables], [jnp.broadcast_to(t, identity.shape) for t in tables.values()], identity
    )


def _blend(chosen: dict[str, Array], factor: Array, image: Image) -> UInt8[Array, "h w c"]:
    exact = image.astype(jnp.float32)
    others = {
        "brightness": jnp.zeros_like(exact),
        "contrast": jnp.broadcast_to(jnp.round(luma(image).mean()), exact.shape),
        "saturation": jnp.broadcast_to(jnp.round(luma(image)), exact.shape),
        "sharpness": smoothed(exact),
    }
    other = jnp.select(
        [chosen[name] for name in others], list(others.values()), exact
    )  # itself: any factor gives it back
    return jnp.clip(jnp.round(other + factor * (exact - other)), 0, 255).astype(jnp.uint8)


def smoothed(image: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """Pillow's SMOOTH filter: the mean of each pixel (weight 5) and its eight neighbours, rounded; the border stays."""
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width, _ = image.shape
    total = sum(padded[y : y + height, x : x + width] for y in range(3) for x in range(3)) + 4 * image
    y, x = jnp.arange(height)[:, jnp.newaxis, jnp.newaxis], jnp.arange(width)[:, jnp.newaxis]
    border = (y == 0) | (y == height - 1) | (x == 0) | (x == width - 1)
    return jnp.where(border, image, jnp.round(total / 13))
