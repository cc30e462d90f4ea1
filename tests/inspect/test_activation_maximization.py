import jax
import numpy as np
import pytest
from looked_at import SHAPE, Named, Own, variables_of

from cnn_jax.inspect import draw_image, feature, total_variation


def test_a_drawn_image_excites_its_class_and_stays_between_black_and_white():
    model, low, high = Named(3), (-0.5, -1.0), (1.0, 2.0)
    variables = variables_of(model)
    images = draw_image(model, variables, SHAPE, range(3), low=low, high=high, steps=60)
    assert images.shape == (3, *SHAPE)
    assert (images >= np.array(low)).all() and (images <= np.array(high)).all()
    logits = model.apply(variables, images, train=False)
    grey = np.broadcast_to((np.array(low) + high) / 2, (1, *SHAPE)).astype(np.float32)
    assert (np.diagonal(logits) > model.apply(variables, grey, train=False)[0]).all()
    assert (logits.argmax(0) == np.arange(3)).all()  # of the three, each class is excited most by its own


def test_a_channel_is_excited_by_the_image_drawn_for_it():
    variables = variables_of(Own())
    images = draw_image(Own(), variables, SHAPE, [0, 1], feature="Conv_0", steps=60)
    means = np.asarray(feature(Own(), variables, images, "Conv_0")).mean((1, 2))
    assert (means.argmax(0) == [0, 1]).all()


@pytest.mark.slow
def test_smoothness_lowers_total_variation_and_another_seed_draws_another_image():
    model = Named(3)
    variables = variables_of(model)
    draw = lambda **more: draw_image(model, variables, SHAPE, [0], steps=20, **more)  # noqa: E731
    rough, smooth = draw(smoothness=0.0), draw(smoothness=1.0)
    assert total_variation(smooth)[0] < 0.5 * total_variation(rough)[0]
    assert (smooth != draw(smoothness=1.0, seed=1)).any()


def test_total_variation_is_the_mean_difference_of_neighbours():
    images = np.asarray(jax.random.normal(jax.random.key(0), (2, 4, 5, 2)))
    down = [np.mean([abs(x[i + 1, j] - x[i, j]) for i in range(3) for j in range(5)]) for x in images]
    across = [np.mean([abs(x[i, j + 1] - x[i, j]) for i in range(4) for j in range(4)]) for x in images]
    np.testing.assert_allclose(total_variation(images), np.add(down, across), rtol=1e-5)


def test_units_that_there_are_not_are_refused():
    variables = variables_of(Named(3))
    with pytest.raises(ValueError, match="there is no class 3: Named has 3, from 0"):
        draw_image(Named(3), variables, SHAPE, [0, 3])
    with pytest.raises(ValueError, match="there is no channel 4: the feature 'stage1' has 4, from 0"):
        draw_image(Named(3), variables, SHAPE, [4], feature="stage1")
