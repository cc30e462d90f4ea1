"""Grad-CAM, integrated gradients and occlusion against the formulas as loops and plain differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from looked_at import Named, Own, some_images, variables_of

from cnn_jax.inspect import feature, grad_cam, integrated_gradients, occlusion
from cnn_jax.inspect.occluding import corners


def test_grad_cam_is_the_weighted_sum_of_channels():
    model, images = Named(3), some_images()
    variables = variables_of(model)
    maps = np.asarray(feature(model, variables, images, "stage1"))
    # The logit is a matrix times the mean over places: the gradient is the matrix over the number of places.
    weights = np.asarray(variables["params"]["head"]["kernel"])[:, 1] / (4 * 5)
    expected = np.zeros(maps.shape[:3])
    for n in range(2):
        for k in range(4):
            expected[n] += weights[k] * maps[n, :, :, k]
    found = grad_cam(model, variables, images, "stage1", 1)
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-5, atol=1e-7)
    assert found.any()


def test_grad_cam_takes_the_predicted_class_where_none_is_given():
    model, images = Named(3), some_images()
    variables = variables_of(model)
    predicted = model.apply(variables, images, train=False).argmax(1)
    np.testing.assert_array_equal(
        grad_cam(model, variables, images, "stem"), grad_cam(model, variables, images, "stem", predicted)
    )


def test_integrated_gradients_are_the_integral():
    """Against a sum over 2,000 midpoints, whose error is far below the tolerance for a network of tanh."""
    model, images = Named(3), some_images(1)
    variables = variables_of(model)
    baseline = np.array([-1.0, 0.5], np.float32)
    gradient = jax.jit(jax.vmap(jax.grad(lambda x: model.apply(variables, x, train=False)[0, 2])))
    path = baseline + (np.arange(2000)[:, None, None, None, None] + 0.5) / 2000 * (images - baseline)
    expected = (images - baseline) * np.mean(gradient(jnp.asarray(path, jnp.float32)), axis=0)
    found = integrated_gradients(model, variables, images, baseline, 2)
    np.testing.assert_allclose(found.values, expected, atol=1e-5 * np.abs(expected).max())
    assert found.steps == 16 and found.is_complete
    logits = [model.apply(variables, x, train=False)[0, 2] for x in (images, np.broadcast_to(baseline, images.shape))]
    np.testing.assert_allclose(found.difference, logits[0] - logits[1], rtol=1e-5)


def test_integrated_gradients_add_up_to_a_thousandth_where_relu_makes_kinks():
    model, images = Own(), some_images(3)
    variables = variables_of(model)
    found = integrated_gradients(model, variables, images, 0.5)
    assert found.is_complete and found.steps > 16
    values = np.asarray(found.values, np.float64)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(values).sum((1, 2, 3))  # of the shares' float32
    gap = values.sum((1, 2, 3)) - np.asarray(found.difference)
    assert (np.abs(gap) <= 1.01e-3 * np.abs(found.difference) + 2 * rounding).all()
    assert (rounding < 1e-3 * np.abs(found.difference)).all()
    few = integrated_gradients(model, variables, images, 0.5, steps=1)
    assert few.steps == 1 and not few.is_complete


def test_steps_that_do_not_fill_a_call_are_as_many_as_asked_for():
    model, images = Named(3), some_images(1)
    variables = variables_of(model)
    many, fewer = (integrated_gradients(model, variables, images, 0.0, 0, steps=n).values for n in (64, 17))
    np.testing.assert_allclose(fewer, many, atol=2e-6)


def test_occlusion_is_the_fall_of_the_probability_square_by_square():
    model, images = Own(), some_images()
    variables = variables_of(model)
    classes = np.array([0, 2])

    def probability(x):
        return np.asarray(jax.nn.softmax(model.apply(variables, x, train=False)))[[0, 1], classes]

    expected = np.zeros((2, 3, 4))
    for i, top in enumerate((0, 3, 5)):
        for j, left in enumerate((0, 3, 6, 7)):
            hidden = images.copy()
            hidden[:, top : top + 3, left : left + 3] = 0.25
            expected[:, i, j] = probability(images) - probability(hidden)
    found = occlusion(model, variables, images, 3, 3, jnp.asarray(classes), value=0.25)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(("length", "side", "stride"), [(8, 9, 1), (8, 0, 1), (8, 3, 0)])
def test_squares_that_do_not_fit_are_refused(length, side, stride):
    with pytest.raises(ValueError, match=f"a square of {side} pixels every {stride} does not fit along 8"):
        corners(length, side, stride)


@pytest.mark.parametrize("look", [lambda *a: grad_cam(*a, "stem", 3), lambda *a: integrated_gradients(*a, 0.0, -1)])
def test_a_class_that_there_is_not_is_refused(look):
    with pytest.raises(ValueError, match=r"there is no class (3|-1): Named has 3, from 0"):
        look(Named(3), variables_of(Named(3)), some_images())
