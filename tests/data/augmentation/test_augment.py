from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import apply_augment, parse_augment, standardize
from cnn_jax.data.decoding import host_crop
from cnn_jax.data.gallery import gallery_specs
from cnn_jax.randomness import random_key

# Random numbers compile in a tenth of the time at a lower level of optimisation.
FAST = {"xla_backend_optimization_level": 0}


def run(specs, images, seed=0, epoch=0, index=None, interpolation="bilinear"):
    augment = parse_augment(specs, interpolation=interpolation)
    index = np.arange(len(images)) if index is None else np.asarray(index)
    epochs = jnp.full(len(images), epoch, jnp.int32)
    compiled = jax.jit(lambda x, e, i: apply_augment(augment, x, seed=seed, epoch=e, index=i), compiler_options=FAST)
    return np.asarray(compiled(images, epochs, index.astype(np.int32)))


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (64, 6, 8, 3), np.uint8)


def test_pad_crop_gives_every_window_of_the_padded_image():
    image = np.random.default_rng(0).integers(1, 256, (5, 4, 2), np.uint8)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    windows = {padded[top : top + 5, left : left + 4].tobytes(): 0 for top in range(5) for left in range(5)}
    cropped = run(["pad_crop(2)"], np.repeat(image[None], 2000, axis=0))
    assert cropped.dtype == np.uint8
    for crop in cropped:
        windows[crop.tobytes()] += 1  # KeyError for anything that is not a window
    counts = np.array(list(windows.values()))
    assert ((counts - 80) ** 2 / 80).sum() < 51.2  # chi-squared, 24 degrees of freedom, p = 0.001


def test_pad_crop_fills_with_the_given_value(images):
    assert (run(["pad_crop(100, fill=7)"], images) == 7).any(axis=(1, 2, 3)).all()


def test_random_crop_gives_every_window():
    image = np.random.default_rng(0).integers(0, 256, (5, 4, 2), np.uint8)
    windows = {image[top : top + 3, left : left + 2].tobytes(): 0 for top in range(3) for left in range(3)}
    for crop in run(["random_crop(3, 2)"], np.repeat(image[None], 900, axis=0)):
        windows[crop.tobytes()] += 1  # KeyError for anything that is not a window
    counts = np.array(list(windows.values()))
    assert ((counts - 100) ** 2 / 100).sum() < 26.1  # chi-squared, 8 degrees of freedom, p = 0.001


def test_random_crop_of_more_than_there_is_says_so(images):
    with pytest.raises(ValueError, match="cannot cut 7×7 out of 6×8"):
        run(["random_crop(7)"], images)


@pytest.mark.parametrize(("spec", "axis"), [("horizontal_flip()", 2), ("vertical_flip()", 1)])
def test_flip_mirrors_half_of_the_images(images, spec, axis):
    flipped = run([spec], images)
    mirrored = np.flip(images, axis)
    kept = (flipped == images).all(axis=(1, 2, 3))
    turned = (flipped == mirrored).all(axis=(1, 2, 3))
    assert (kept ^ turned).all()
    assert 16 <= kept.sum() <= 48  # 64 fair coins leave these bounds once in 15,000


def test_fixed_operations_equal_numpy(images):
    np.testing.assert_array_equal(run(["center_crop(3, 4)"], images), images[:, 1:4, 2:6])
    np.testing.assert_array_equal(run(["pad(2)"], images), np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))))


@pytest.mark.parametrize(
    ("spec", "size"),
    [(f"resize{size}", size) for size in ((28, 28), (12, 5), (3, 4), (6, 8))]
    + [("resize_shorter(3)", (3, 4)), ("resize_shorter(12)", (12, 16))],
)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_equals_pillow(images, spec, size, interpolation):
    from PIL import Image

    images = images[:8]
    filtering = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    ours = run([spec], images, interpolation=interpolation)
    for image, resized in zip(images, ours, strict=True):
        for channel in range(3):
            theirs = Image.fromarray(image[..., channel].astype(np.float32)).resize(size[::-1], filtering)
            # of 255, in float32; Pillow cuts whole numbers off at 0 and 255, but not floats
            np.testing.assert_allclose(resized[..., channel], np.asarray(theirs).clip(0, 255), atol=1e-3)


def test_draws_belong_to_the_example_and_not_to_the_batch(images):
    specs = ["pad_crop(2)", "horizontal_flip()"]
    everyone = run(specs, images)
    for count in (1, 64):
        chosen = np.random.default_rng(count).permutation(64)[:count]
        np.testing.assert_array_equal(run(specs, images[chosen], index=chosen), everyone[chosen])


def test_draws_differ_between_seeds_and_epochs_and_repeat_otherwise(images):
    results = [run(["pad_crop(3)"], images, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for i, result in enumerate(results):
        assert all((result != other).any() for other in results[:i])
    np.testing.assert_array_equal(results[0], run(["pad_crop(3)"], images, 0, 0))


def test_draws_of_an_operation_do_not_depend_on_its_neighbours(images):
    alone = run(["pad_crop(2)"], images)
    np.testing.assert_array_equal(run(["pad_crop(2)", "horizontal_flip(1.0)"], images), alone[:, :, ::-1])
    assert (run(["pad_crop(2)", "pad_crop(2)"], images) != run(["pad_crop(2)"], alone)).any()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pad_crops(4)", "did you mean pad_crop"),
        ("zzz()", "known are pad_crop"),
        ("pad_crop", "write a call"),
        ("pad_crop(", "write a call"),
        ("pad_crop(open('x'))", "write a call"),
        ("jax.pad_crop(4)", "write a call"),
        ("pad_crop()", r"does not fit `pad_crop\(padding: int, fill: int = 0\)"),
        ("pad_crop(4, size=3)", "does not fit"),
        ("resize(8, interpolation='bicubic')", r"does not fit `resize\(height: int, width: int \| None = None\)"),
    ],
)
def test_wrong_specs_say_what_is_wrong(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_augment([spec])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pad_crop(-1)", "must not be negative, got -1"),
        ("pad_crop('a')", r"pad_crop\(padding='a'\) cannot be done"),
        ("cutout(2, fill=300)", r"cutout\(size=2, fill=300\) cannot be done: Python integer 300 out of bounds"),
        ("horizontal_flip(1.5)", r"must be in \[0, 1\], got 1.5"),
        ("resize(0)", "needs a positive size"),
    ],
)
def test_wrong_values_are_refused_with_the_shape_of_the_images(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_augment([spec]).output_shape((8, 8, 3))


def test_random_operations_are_refused_in_evaluation():
    assert parse_augment(["resize(28)"], allow_random=False).output_shape((8, 8, 1)) == (28, 28, 1)
    with pytest.raises(ValueError, match=r"'pad_crop\(4\)' is random"):
        parse_augment(["resize(28)", "pad_crop(4)"], allow_random=False)


def test_center_crop_larger_than_the_image_is_refused(images):
    with pytest.raises(ValueError, match="cannot cut 7×7 out of 6×8"):
        run(["center_crop(7)"], images)


def test_parsed_specs_are_equal_and_hashable():
    assert parse_augment(["pad_crop(4)"]) == parse_augment(["pad_crop(4)"])
    assert parse_augment(["resize(4)"]) != parse_augment(["resize(4)"], interpolation="bicubic")
    assert len({parse_augment(["pad_crop(4)"]), parse_augment(["pad_crop(4)"]), parse_augment(["pad_crop(3)"])}) == 2


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_standardize_equals_numpy(images, dtype):
    mean, std = (0.5, 0.25, 0.1), (0.2, 0.3, 0.4)
    ours = standardize(images, mean, std, dtype)
    assert ours.dtype == dtype
    tolerance = 1e-5 if dtype == jnp.float32 else 2**-7
    np.testing.assert_allclose(np.float64(ours), (images / 255 - mean) / std, rtol=tolerance, atol=1e-5)


def test_standardize_takes_one_value_for_all_channels(images):
    np.testing.assert_array_equal(standardize(images, (0.5,), (0.2,)), standardize(images, (0.5,) * 3, (0.2,) * 3))


def test_standardize_refuses_a_wrong_number_of_channels(images):
    with pytest.raises(ValueError, match=r"`standardize\.mean` has 2 values, but the images have 3 channels"):
        standardize(images, (0.5, 0.5), (0.2,))


@pytest.mark.parametrize("spec", [*gallery_specs((6, 8, 3)), "to_rgb()", "to_gray()", "rotate90()"])
def test_operation_draws_the_same_with_64_bit_types_allowed(spec):
    """Read off the program: no draw takes 64 bits, which would give other numbers."""
    augment, index = parse_augment([spec]), np.arange(2, dtype=np.int32)
    images = np.zeros((2, 6, 6, 3) if spec.startswith("rotate90") else (2, 6, 8, 3), np.uint8)
    with jax.enable_x64(True):
        program = jax.make_jaxpr(lambda x: apply_augment(augment, x, seed=0, epoch=index, index=index))(images)
    assert "bit_width=64" not in str(program)
    assert program.out_avals[0].dtype in (np.uint8, np.float32)


def invert(image, key, probability=0.1):
    return jnp.where(jax.random.bernoulli(key, probability), 255 - image, image)


def stretch(x, interpolation):
    return jnp.repeat(x, 2, axis=0) if interpolation == "bicubic" else x


def test_a_function_of_one_s_own_is_an_augmentation(images):
    own, images = partial(invert, probability=0.5), images[:8]
    changed = run([own, "horizontal_flip()", own, stretch], images, seed=3, epoch=1, interpolation="bicubic")
    expected = np.repeat(run(["horizontal_flip()"], images, seed=3, epoch=1), 2, axis=1)
    for i in range(8):
        first, second = (jax.random.bernoulli(random_key(3, f"augment/invert/{n}", 1, i), 0.5) for n in (0, 1))
        np.testing.assert_array_equal(changed[i], 255 - expected[i] if first != second else expected[i])


def test_one_s_own_augmentation_is_random_where_it_asks_for_a_key():
    assert parse_augment([stretch], allow_random=False).output_shape((8, 8, 3)) == (8, 8, 3)
    with pytest.raises(ValueError, match=r"invert.* is random"):
        parse_augment([invert], allow_random=False)


def test_an_operation_must_return_an_image():
    with pytest.raises(ValueError, match=r"<lambda>\(\) must return an image \[H, W, C\]"):
        parse_augment([lambda image: image.mean()]).output_shape((8, 8, 3))


def test_a_list_for_image_files_is_divided_between_host_and_device():
    chain = parse_augment(["random_resized_crop(28)", "horizontal_flip()", "random_resized_crop(24)"], files=True)
    assert chain.host == host_crop.random_resized_crop(28)
    assert [purpose for _, purpose in chain.with_purposes()] == [
        "augment/horizontal_flip/0",
        "augment/random_resized_crop/0",
    ]
    assert chain.batch_shape((0, 0, 3)) == (28, 28, 3) and chain.output_shape((28, 28, 3)) == (24, 24, 3)
    everything = parse_augment(["random_resized_crop(28)"])
    assert everything.host is None and len(everything.device) == 1


def test_a_random_crop_of_the_host_is_refused_in_evaluation():
    with pytest.raises(ValueError, match=r"'random_resized_crop\(28\)' is random, and evaluation must not be"):
        parse_augment(["random_resized_crop(28)"], files=True, allow_random=False)
