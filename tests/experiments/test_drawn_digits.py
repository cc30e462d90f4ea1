"""Images drawn out of the README's LeNet-5 are digits to it, and to a LeNet-5 of another seed that they never met."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import cnn_jax
from cnn_jax.inspect import draw_image, total_variation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    config = cnn_jax.load_experiment(Path(__file__).parents[2] / "experiments" / "digits_lenet.py")
    for seed in (0, 1):
        cnn_jax.train(replace(config, seed=seed), folder / str(seed))
    return [cnn_jax.open_run(folder / str(seed)) for seed in (0, 1)]


def test_a_digit_drawn_out_of_one_network_is_that_digit_to_another(runs):
    drawn_from, other = runs
    mean, std = np.array(drawn_from.info.mean), np.array(drawn_from.info.std)
    low, high = -mean / std, (1 - mean) / std
    drawn = draw_image(drawn_from.model, drawn_from.variables(), drawn_from.image_shape, range(10), low=low, high=high)
    own, foreign = (
        np.diagonal(jax.nn.softmax(run.model.apply(run.variables(), drawn, train=False))) for run in (drawn_from, other)
    )
    assert (own >= 0.99).all(), own
    assert (foreign >= 0.9).sum() >= 8, foreign
    # No drawn image is rougher than the digits of the test split are on average, enlarged as the network sees them.
    pixels = drawn_from.dataset("test").images(np.arange(100)).astype(np.float32) / 255
    enlarged = jax.image.resize(pixels, (100, 28, 28, 1), "bilinear")
    assert total_variation((drawn - low) / (high - low)).max() < total_variation(enlarged).mean()
