"""Auxiliary classifiers: always initialised, exposed in training, weighed by the loss, never in the way."""

import functools

import jax
import numpy as np
import pytest
from matrix import NUM_CLASSES, QUICK_COMPILE, small

from cnn_jax.models import MODELS, abstract_variables, initialize

WITH_AUX = [name for name, entry in MODELS.items() if "aux" in entry.options]
# The 5×5 convolution of its auxiliary head needs the full size.
SIDE = {"inception_v3": (299, 299)}
KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}


# The others take longer to trace.
rows = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "googlenet_paper")) for name in WITH_AUX]
)


@rows
def test_auxiliary_logits_are_features_of_training_only(name):
    model, images = small(name, aux=True)
    images = np.zeros((2, *SIDE.get(name, images.shape[1:3]), 3), np.float32)
    tree = abstract_variables(model, images.shape[1:])
    assert model.aux_weight

    def named(train):
        call = lambda v, x: model.apply(  # noqa: E731
            v, x, train=train, mutable=["features", "batch_stats"], rngs={"dropout": KEYS["dropout"]}
        )
        return jax.eval_shape(call, tree, images)[1]["features"]

    assert {name: named(True)[name].shape for name in model.aux_weight} == {
        name: (2, NUM_CLASSES) for name in model.aux_weight
    }
    assert not set(model.aux_weight) & set(named(False))


@pytest.mark.slow
def test_gradient_of_the_weighed_loss_reaches_every_parameter():
    model, images = small("googlenet_paper", aux=True)
    start = initialize(model, KEYS, images.shape[1:])

    @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
    def gradient(params):
        def loss(params):
            logits, state = model.apply(
                {"params": params}, images, train=True, mutable=["features"], rngs={"dropout": KEYS["dropout"]}
            )
            aux = sum(weight * state["features"][name].sum() for name, weight in model.aux_weight.items())
            return logits.sum() + aux

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(start["params"])):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)


@rows
def test_auxiliary_heads_leave_the_other_parameters_names_alone(name):
    plain, images = small(name)
    with_aux, _ = small(name, aux=True)
    images = np.zeros((2, *SIDE.get(name, images.shape[1:3]), 3), np.float32)
    shapes = [
        {jax.tree_util.keystr(p): x.shape for p, x in jax.tree_util.tree_leaves_with_path(tree["params"])}
        for tree in (abstract_variables(m, images.shape[1:]) for m in (plain, with_aux))
    ]
    assert shapes[0].items() <= shapes[1].items()
    assert all("aux" in path for path in shapes[1].keys() - shapes[0].keys())
