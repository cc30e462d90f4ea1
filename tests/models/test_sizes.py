"""The smallest images of each family work, and the message for smaller ones names that size."""

import jax
import jax.numpy as jnp
import pytest

from cnn_jax.models import create_model

SMALLEST = {
    "googlenet": 15,
    "googlenet_paper": 31,
    "inception_v3": 75,
    "alexnet": 63,
    "alexnet_paper": 67,
    "vgg11": 32,
    "resnet18": 1,
    "resnet50_v2": 1,
    "resnet8_cifar": 1,
}


def outputs(model, size):
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0], images)


@pytest.mark.parametrize(("name", "size"), SMALLEST.items(), ids=SMALLEST)
def test_the_smallest_images_work_and_smaller_ones_are_told_the_size(name, size):
    model = create_model(name, 4)
    assert outputs(model, size).shape == (2, 4)
    if size > 1:
        with pytest.raises(ValueError, match=f"needs images of at least {size}×{size}, got {size - 1}×{size - 1}"):
            outputs(model, size - 1)


def test_inception_tells_the_size_that_its_auxiliary_classifier_needs():
    model = create_model("inception_v3", 4, options={"aux": True})
    with pytest.raises(ValueError, match="needs images of at least 299×299"):
        outputs(model, 298)
    assert outputs(model, 299).shape == (2, 4)
