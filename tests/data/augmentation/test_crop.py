import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import parse_augment
from cnn_jax.data.augmentation.crop import crop_box
from cnn_jax.data.augmentation.scale import resize_box
from cnn_jax.data.decoding.host_crop import random_box


@pytest.mark.parametrize("size", [(8, 8), (24, 10)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_box_equals_pillow(size, interpolation):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    resize = jax.jit(lambda box: resize_box(jnp.asarray(image), box, *size, interpolation))
    filtering = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    for box in [(0, 0, 20, 30), (3, 5, 12, 9), (10, 2, 4, 25), (19, 29, 1, 1)]:
        top, left, rows, columns = box
        ours = resize(jnp.asarray(box))
        for channel in range(3):
            picture = Image.fromarray(image[..., channel].astype(np.float32))
            theirs = picture.resize(size[::-1], filtering, box=(left, top, left + columns, top + rows))
            # of 255, in float32; Pillow cuts whole numbers off at 0 and 255, but not floats
            np.testing.assert_allclose(ours[..., channel], np.asarray(theirs).clip(0, 255), atol=2e-3)


def draw_boxes(height, width, scale, ratio, count=4000):
    uniforms = np.random.default_rng(0).random((count, 10, 4))
    boxes = jax.jit(jax.vmap(lambda u: crop_box(u, height, width, scale, ratio)))
    return np.asarray(boxes(jnp.asarray(uniforms, jnp.float32)))


@pytest.mark.parametrize(("height", "width"), [(375, 500), (32, 32), (600, 200)])
def test_crop_box_lies_within_the_bounds(height, width):
    top, left, rows, columns = draw_boxes(height, width, (0.2, 0.8), (3 / 4, 4 / 3)).T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + rows <= height).all() and (left + columns <= width).all()
    rounding = 1.5 / min(height, width)
    area, aspect = rows * columns / (height * width), columns / rows
    assert 0.2 - 2 * rounding < area.min() and area.max() < 0.8 + 2 * rounding
    assert 3 / 4 - 2 * rounding < aspect.min() and aspect.max() < 4 / 3 + 2 * rounding


def test_crop_box_is_uniform_in_area_log_aspect_and_place():
    top, _, rows, columns = draw_boxes(1000, 1000, (0.1, 0.5), (1 / 2, 2)).T  # always fits at the first try
    area = rows * columns / 1e6
    assert abs(area.mean() - 0.3) < 0.01 and abs(area.std() - 0.4 / np.sqrt(12)) < 0.01
    log_aspect = np.log(columns / rows) / np.log(2)
    assert abs(log_aspect.mean()) < 0.04 and abs(log_aspect.std() - 2 / np.sqrt(12)) < 0.03
    place = top / (1000 - rows)
    assert abs(place.mean() - 0.5) < 0.02 and abs(place.std() - 1 / np.sqrt(12)) < 0.02


@pytest.mark.parametrize(
    ("shape", "expected"), [((100, 1000), (100, 133)), ((1000, 100), (133, 100)), ((50, 60), (50, 60))]
)
def test_crop_box_falls_back_to_the_largest_centred_part(shape, expected):
    height, width = shape
    never = np.full((10, 4), 0.999), height, width, (5.0, 5.0), (3 / 4, 4 / 3)  # five times the area never fits
    rows, columns = expected
    box = (height - rows) // 2, (width - columns) // 2, rows, columns
    assert tuple(crop_box(*never).tolist()) == random_box(*never) == box


@pytest.mark.parametrize(("height", "width"), [(375, 500), (32, 32), (600, 60)])
def test_the_box_of_the_host_is_that_of_the_device(height, width):
    many, bounds = np.random.default_rng(2).random((500, 10, 4)), (height, width, (0.08, 1.0), (3 / 4, 4 / 3))
    with jax.enable_x64(True):  # float32 may round the other way
        device = np.asarray(jax.jit(jax.vmap(lambda uniforms: crop_box(uniforms, *bounds)))(jnp.asarray(many)))
    assert [random_box(uniforms, *bounds) for uniforms in many] == list(map(tuple, device.tolist()))


def test_random_resized_crop_shows_other_parts_to_other_keys():
    (op,) = parse_augment(["random_resized_crop(8, scale=(0.1, 0.3))"]).device
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None, None], (64, 64, 1))
    draw = jax.jit(jax.vmap(lambda key: op(ramp, key=key)), compiler_options={"xla_backend_optimization_level": 0})
    crops = np.asarray(draw(jax.random.split(jax.random.key(0), 100)))
    assert crops.shape == (100, 8, 8, 1) and crops.dtype == np.float32
    assert (np.diff(crops[..., 0], axis=1) > 0).all()  # still the ramp
    assert crops.mean(axis=(1, 2, 3)).std() > 5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("random_resized_crop(0)", "needs a positive size"),
        ("random_resized_crop(8, scale=(0, 1))", r"random_resized_crop.scale` must be a pair \(a, b\) with 0 < a"),
        ("random_resized_crop(8, scale=(0.5, 1.5))", "b ≤ 1"),
        ("random_resized_crop(8, ratio=2)", "must be a pair"),
        ("random_erasing(0.5, area=(0.5, 0.1))", "must be a pair"),
        ("random_erasing(0.5, ratio=2)", r"must be in \(0, 1\]"),
        ("cutout(0)", "must be positive"),
    ],
)
def test_impossible_bounds_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_augment([spec]).output_shape((8, 8, 3))


def apply_many(spec, image, count):
    (op,) = parse_augment([spec]).device
    draw = jax.jit(jax.vmap(lambda key: op(image, key=key)), compiler_options={"xla_backend_optimization_level": 0})
    return np.asarray(draw(jax.random.split(jax.random.key(0), count)))


def test_cutout_blanks_a_square_centred_anywhere():
    image = np.full((10, 12, 2), 50, np.uint8)
    seen = set()
    for result in apply_many("cutout(4)", image, 1500):
        blank = (result == 0).all(axis=-1)
        assert ((result == 50).all(axis=-1) | blank).all()
        rows, columns = np.flatnonzero(blank.any(axis=1)), np.flatnonzero(blank.any(axis=0))
        assert blank[np.ix_(rows, columns)].all() and blank.sum() == len(rows) * len(columns)
        seen.add((rows[0], rows[-1], columns[0], columns[-1]))
    expected = {(max(y - 2, 0), min(y + 1, 9), max(x - 2, 0), min(x + 1, 11)) for y in range(10) for x in range(12)}
    assert seen == expected


def test_random_erasing_replaces_a_rectangle_at_its_rate():
    image = np.full((40, 50, 1), 50, np.uint8)
    areas = []
    for result in apply_many("random_erasing(0.7, area=(0.05, 0.3), fill=7)", image, 600):
        erased = result[..., 0] == 7
        assert ((result[..., 0] == 50) | erased).all()
        rows, columns = erased.any(axis=1).sum(), erased.any(axis=0).sum()
        assert erased.sum() == rows * columns  # one full rectangle
        areas.append(erased.mean())
    areas = np.array(areas)
    assert 380 <= (areas > 0).sum() <= 460  # 420 expected, deviation 11
    assert areas[areas > 0].min() > 0.03 and areas.max() < 0.33
    assert abs(areas[areas > 0].mean() - 0.17) < 0.02


def test_random_erasing_by_noise_uses_every_value():
    result = apply_many("random_erasing(1.0, area=(0.9, 1.0), ratio=1.0)", np.full((64, 64, 1), 50, np.uint8), 8)
    assert len(np.unique(result)) == 256
