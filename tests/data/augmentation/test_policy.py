import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnn_jax.data import parse_augment
from cnn_jax.data.augmentation.affine import affine, rotate90, rotation
from cnn_jax.data.augmentation.policy import POLICY, RAND_AUGMENT, TRIVIAL_AUGMENT_WIDE, apply_operation

SIDE = 32
QUICK = {"xla_backend_optimization_level": 0}  # compiles sooner


@pytest.fixture(scope="module")
def image():
    """Smooth waves with a little noise, not using all values."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = [100 + 60 * np.sin(3 * rows + 2 * columns + phase) * np.cos(4 * columns) for phase in (0, 1, 2)]
    noise = np.random.default_rng(0).integers(0, 12, (SIDE, SIDE, 3))
    return (np.stack(waves, axis=-1) + noise).astype(np.uint8)


def pillow_map(image, matrix, resample):
    """The affine map by Pillow; ours is measured from the centre, Pillow's from the corner."""
    (a, b, c), (d, e, f) = np.asarray(matrix, np.float64)
    height, width = image.shape[:2]
    x, y = width / 2, height / 2
    coefficients = (a, b, c + x - a * x - b * y, d, e, f + y - d * x - e * y)
    return np.asarray(Image.fromarray(image).transform((width, height), Image.Transform.AFFINE, coefficients, resample))


@pytest.mark.parametrize("shape", [(32, 32), (20, 31)])
@pytest.mark.parametrize(
    "matrix", [[[1, 0, 3], [0, 1, -2]], [[1, 0.3, 0], [0, 1, 0]], [[0.813, 0.517, 1.53], [-0.489, 0.907, 0.01]]]
)
def test_affine_equals_pillow(matrix, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    matrix = jnp.asarray(matrix, jnp.float32)
    smooth = np.asarray(affine(jnp.asarray(image), matrix, bilinear=True))
    differ = np.abs(smooth - pillow_map(image, matrix, Image.Resampling.BILINEAR)).max(axis=-1) > 1.01  # it rounds
    assert differ.mean() < 0.005  # places that fall on the very rim of the image
    nearest = np.asarray(affine(jnp.asarray(image), matrix, bilinear=False))
    differ = (nearest != pillow_map(image, matrix, Image.Resampling.NEAREST)).any(axis=-1)
    assert differ.mean() < 0.02  # places that fall on the edge between two pixels


def test_rotation_turns_counter_clockwise_as_pillow(image):
    ours = affine(jnp.asarray(image), rotation(jnp.deg2rad(jnp.float32(25))), bilinear=True)
    theirs = np.asarray(Image.fromarray(image).rotate(25, Image.Resampling.BILINEAR))
    assert (np.abs(np.asarray(ours) - theirs).max(axis=-1) > 1.01).mean() < 0.01  # rounding decides at the corners' rim


def test_rotate90_gives_the_four_turns_equally_often(image):
    results = np.asarray(jax.vmap(lambda key: rotate90(image, key))(jax.random.split(jax.random.key(0), 400)))
    counts = [sum((result == np.rot90(image, k)).all() for result in results) for k in range(4)]
    assert sum(counts) == 400 and min(counts) > 65
    with pytest.raises(ValueError, match="needs square images, got 32×30"):
        rotate90(image[:, :30], jax.random.key(0))


# What each operation does at magnitude 15 of 30 with sign ±1, by Pillow; strengths as torchvision's RandAugment.
def reference(name, image, sign):
    picture = Image.fromarray(image)
    part = 0.5 * sign
    match name:
        case "identity":
            return picture
        case "rotate":
            return picture.rotate(30 * part, Image.Resampling.NEAREST)
        case "shear_x":
            return pillow_map(image, [[1, 0.3 * part, 0], [0, 1, 0]], Image.Resampling.NEAREST)
        case "shear_y":
            return pillow_map(image, [[1, 0, 0], [0.3 * part, 1, 0]], Image.Resampling.NEAREST)
        case "translate_x" | "translate_y":
            pixels = int(150 / 331 * SIDE * part)
            axis = 1 if name.endswith("x") else 0
            moved = np.roll(image, pixels, axis)
            index = [slice(None)] * 3
            index[axis] = slice(0, pixels) if pixels > 0 else slice(pixels, None)
            moved[tuple(index)] = 0
            return moved
        case "autocontrast":
            return ImageOps.autocontrast(picture)
        case "equalize":
            return ImageOps.equalize(picture)
        case "posterize":
            return ImageOps.posterize(picture, 6)
        case "solarize":
            return ImageOps.solarize(picture, 128)
        case "brightness":
            return ImageEnhance.Brightness(picture).enhance(1 + 0.9 * part)
        case "contrast":
            return ImageEnhance.Contrast(picture).enhance(1 + 0.9 * part)
        case "saturation":
            return ImageEnhance.Color(picture).enhance(1 + 0.9 * part)
        case "sharpness":
            return ImageEnhance.Sharpness(picture).enhance(1 + 0.9 * part)


@pytest.fixture(scope="module")
def compiled():
    return jax.jit(
        lambda image, op, sign: apply_operation(image, op, jnp.float32(15), sign, RAND_AUGMENT),
        compiler_options=QUICK,
    )


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", POLICY)
def test_operation_equals_pillow(image, compiled, name, sign):
    ours = np.asarray(compiled(image, POLICY.index(name), jnp.float32(sign)))
    assert ours.dtype == np.uint8
    theirs = np.asarray(reference(name, image, sign)).astype(int)
    off = np.abs(ours - theirs).max(axis=-1)
    if name == "rotate":  # places on the edge between two pixels
        assert (off > 1).mean() < 0.05
    else:
        assert off.max() <= 1  # Pillow's blends cut fractions off
    assert name == "identity" or (ours != image).any()


@pytest.mark.parametrize("kind", ["random", "two values", "flat"])
def test_tables_equal_pillow_on_awkward_images(compiled, kind):
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    image = {"random": image, "two values": image // 128 * 3 + 7, "flat": np.full_like(image, 9)}[kind]
    for name in ("autocontrast", "equalize", "posterize", "solarize"):
        ours = np.asarray(compiled(image, POLICY.index(name), jnp.float32(1))).astype(int)
        assert np.abs(ours - np.asarray(reference(name, image, 1))).max() <= (1 if name == "autocontrast" else 0), name


def test_wide_strengths_reach_further(image):
    narrow, wide = (
        jax.jit(
            lambda image, strengths=strengths: apply_operation(
                image, POLICY.index("posterize"), jnp.float32(30), jnp.float32(1), strengths
            ),
            compiler_options=QUICK,
        )(image)
        for strengths in (RAND_AUGMENT, TRIVIAL_AUGMENT_WIDE)
    )
    np.testing.assert_array_equal(narrow, image & 0b11110000)
    np.testing.assert_array_equal(wide, image & 0b11000000)


@pytest.mark.parametrize("spec", ["rand_augment(1, 15)", "trivial_augment()"])
def test_every_operation_is_drawn(image, compiled, spec):
    (op,) = parse_augment([spec]).device
    draw = jax.jit(jax.vmap(lambda key: op(image, key=key)), compiler_options=QUICK)
    results = np.asarray(draw(jax.random.split(jax.random.key(0), 300)))
    if spec.startswith("trivial"):
        assert len({result.tobytes() for result in results}) > 100
        return
    outcomes = {
        np.asarray(compiled(image, number, jnp.float32(sign))).tobytes()
        for number in range(len(POLICY))
        for sign in (1, -1)
    }
    assert {result.tobytes() for result in results} == outcomes


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("rand_augment(0)", "must be positive"),
        ("rand_augment(2, 31)", r"must be in 0 .. 30, got 31"),
        ("rotate(181)", r"must be in \[0, 180\]"),
    ],
)
def test_impossible_strengths_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_augment([spec]).output_shape((32, 32, 3))
