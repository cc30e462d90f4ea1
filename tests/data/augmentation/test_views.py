import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import average_views, parse_views


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 11, 2), np.uint8)


def test_flip_gives_the_image_and_its_mirror_image(images):
    views = np.asarray(parse_views("flip()")(images))
    np.testing.assert_array_equal(views, [images, np.flip(images, axis=2)])


def test_ten_crop_gives_corners_centre_and_mirror_images(images):
    views = np.asarray(parse_views("ten_crop(5, 6)")(images))
    crops = [images[:, y : y + 5, x : x + 6] for y, x in ((0, 0), (0, 5), (3, 0), (3, 5), (1, 2))]
    np.testing.assert_array_equal(views, crops + [np.flip(crop, axis=2) for crop in crops])


def test_average_is_that_of_the_probabilities(images):
    weights = np.random.default_rng(1).normal(size=(5 * 6 * 2, 4)) / 100

    def logits_of(x):
        return jnp.asarray(x, jnp.float32).reshape(len(x), -1) @ jnp.asarray(weights, jnp.float32)

    views = parse_views("ten_crop(5, 6)")
    ours = average_views(logits_of, views, images)
    probabilities = []
    for view in np.asarray(views(images)):
        scores = np.exp(view.reshape(3, -1).astype(np.float64) @ weights)
        probabilities.append(scores / scores.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.exp(ours), np.mean(probabilities, axis=0), rtol=1e-4)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ten_crop(9)", "cannot cut 9×9 out of 8×11"),
        ("ten_crop(0)", "needs a positive size"),
        ("flop()", "did you mean flip"),
    ],
)
def test_impossible_views_are_refused(images, spec, message):
    with pytest.raises(ValueError, match=message):
        parse_views(spec)(images)
