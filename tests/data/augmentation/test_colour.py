import colorsys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from cnn_jax.data import parse_augment
from cnn_jax.data.augmentation import colour


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7, 3.0])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.adjust_brightness, ImageEnhance.Brightness),
        (colour.adjust_contrast, ImageEnhance.Contrast),
        (colour.adjust_saturation, ImageEnhance.Color),
    ],
    ids=["brightness", "contrast", "saturation"],
)
def test_blend_equals_pillow(image, ours, theirs, factor):
    reference = np.asarray(theirs(Image.fromarray(image)).enhance(factor))
    # Pillow rounds the gray version, cuts off fractions, and so may be off by one, times the factor for what it blends
    # with.
    np.testing.assert_allclose(ours(jnp.asarray(image), jnp.float32(factor)), reference, atol=1.01 + abs(1 - factor))


def test_luma_equals_opencv(image):
    reference = cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)
    np.testing.assert_allclose(colour.luma(jnp.asarray(image))[..., 0], reference, atol=1e-3)


@pytest.mark.parametrize("turns", [-0.5, -0.2, 0.0, 0.1, 0.45])
def test_hue_equals_colorsys(image, turns):
    image[0, 0] = 77  # a gray pixel has no hue
    shifted = np.asarray(colour.shift_hue(jnp.asarray(image), jnp.float32(turns)))
    for ours, (red, green, blue) in zip(shifted.reshape(-1, 3), image.reshape(-1, 3) / 255, strict=True):
        h, s, v = colorsys.rgb_to_hsv(red, green, blue)
        np.testing.assert_allclose(ours / 255, colorsys.hsv_to_rgb((h + turns) % 1, s, v), atol=2e-5)


def test_lighting_follows_the_paper(image):
    alphas = np.array([0.1, -0.2, 0.05])
    shift = np.zeros(3)
    for p in range(3):
        for c in range(3):
            shift[c] += colour.IMAGENET_EIGENVECTORS[c][p] * alphas[p] * colour.IMAGENET_EIGENVALUES[p]
    ours = colour.add_lighting(jnp.asarray(image), jnp.asarray(alphas, jnp.float32))
    np.testing.assert_allclose(ours, np.clip(image + 255 * shift, 0, 255), atol=1e-3)


def test_eigenvectors_are_orthonormal():
    vectors = np.array(colour.IMAGENET_EIGENVECTORS)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=2e-3)  # they are published with four digits


@pytest.mark.parametrize(
    ("spec", "factors"), [("brightness(0.4)", (0.6, 1.4)), ("brightness(1.5)", (0.0, 2.5)), ("brightness(0)", (1, 1))]
)
def test_factor_is_uniform_in_its_range(spec, factors):
    (op,) = parse_augment([spec]).device
    keys = jax.random.split(jax.random.key(0), 2000)
    values = np.asarray(jax.vmap(lambda key: op(jnp.full((1, 1, 1), 100.0), key=key)[0, 0, 0])(keys)) / 100
    low, high = factors
    assert low - 1e-6 <= values.min() and values.max() <= high + 1e-6
    assert abs(values.mean() - (low + high) / 2) < 0.05 * (high - low) + 1e-6
    assert abs(values.std() - (high - low) / np.sqrt(12)) < 0.05 * (high - low) + 1e-6


def test_grayscale_keeps_the_channels_and_random_grayscale_strikes_at_its_rate(image):
    gray = np.asarray(colour.grayscale(jnp.asarray(image)))
    assert gray.shape == image.shape and (gray == gray[..., :1]).all()
    keys = jax.random.split(jax.random.key(1), 400)
    results = np.asarray(jax.vmap(lambda key: colour.random_grayscale(jnp.asarray(image), key, 0.25))(keys))
    struck = (results == gray).all(axis=(1, 2, 3))
    assert (results[~struck] == image).all()
    assert 70 <= struck.sum() <= 130  # 100 expected, deviation 8.7


def test_to_rgb_repeats_gray_and_leaves_colour(image):
    np.testing.assert_array_equal(colour.to_rgb(image[..., :1]), np.repeat(image[..., :1], 3, axis=2))
    np.testing.assert_array_equal(colour.to_rgb(image), image)


@pytest.mark.parametrize("spec", ["brightness(0.5)", "contrast(0.5)", "saturation(0.5)", "hue(0.2)", "grayscale()"])
def test_colour_operations_take_gray_images(image, spec):
    (op,) = parse_augment([spec]).device
    gray = jnp.asarray(image[..., :1])
    result = op(gray, key=jax.random.key(0)) if op.takes("key") else op(gray)
    assert result.shape == gray.shape
    if spec.startswith(("saturation", "hue", "grayscale")):
        np.testing.assert_allclose(result, gray, atol=1e-4)


def test_lighting_of_a_gray_image_is_refused(image):
    with pytest.raises(ValueError, match=r"`pca_lighting` needs 3 channels, got 1; put to_rgb\(\) before it"):
        colour.add_lighting(jnp.asarray(image[..., :1]), jnp.zeros(3))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("brightness(-1)", "must not be negative"),
        ("hue(0.6)", r"must be in \[0, 0.5\] turns"),
        ("random_grayscale(2)", r"must be in \[0, 1\]"),
        ("pca_lighting(-0.1)", "must not be negative"),
    ],
)
def test_impossible_strengths_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_augment([spec]).output_shape((9, 7, 3))
