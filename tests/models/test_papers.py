"""Networks that no library has, against `paper_networks.py`: every named feature at two sizes, from drawn variables."""

import functools

import flax.linen as nn
import jax
import numpy as np
import paper_networks
import pytest
from matrix import QUICK_COMPILE, drawn

from cnn_jax.models import create_model
from cnn_jax.modules import Dropout

# Relative to a feature's largest value; the reference is in double precision.
TOLERANCE = 1e-4
AUX = functools.partial(paper_networks.googlenet_2014, aux=True)
PLAIN = functools.partial(paper_networks.residual_2015, shortcuts=False)


def without_dropout(call, arguments, keywords, context):
    """Interceptor: training mode, in which the auxiliary classifiers speak, but nothing dropped."""
    return arguments[0] if isinstance(context.module, Dropout) else call(*arguments, **keywords)


@pytest.mark.parametrize(
    ("name", "options", "sizes", "reference"),
    [
        # Sizes whose last maps are 6×6; the channels are few, all else is as published.
        ("alexnet_paper", {"width": 0.05}, (227, 240), paper_networks.alexnet_2012),
        ("googlenet_paper", {"width": 0.1}, (97,), paper_networks.googlenet_2014),
        pytest.param(*("googlenet_paper", {"width": 0.05, "aux": True}, (224, 226), AUX), marks=pytest.mark.slow),
        ("resnet20_cifar", {"width": 0.5}, (32, 41), paper_networks.residual_2015),
        ("plain20_cifar", {"width": 0.5}, (41,), PLAIN),
        ("resnet20_v2_cifar", {"width": 0.5}, (41,), paper_networks.pre_activation_2016),
        pytest.param(
            *("resnet164_v2_cifar", {"width": 0.25}, (32, 41), paper_networks.pre_activation_2016),
            marks=pytest.mark.slow,
        ),
        ("wrn16_8", {"width": 0.1}, (41,), paper_networks.pre_activation_2016),
        pytest.param(
            *("wrn28_10", {"width": 0.1}, (32, 41), paper_networks.pre_activation_2016), marks=pytest.mark.slow
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_features_equal_the_papers(name, options, sizes, reference):
    aux = "aux" in options
    model = create_model(name, 7, options=options)

    @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
    def run(variables, images):
        with nn.intercept_methods(without_dropout):
            return model.apply(variables, images, train=aux, mutable=["features"])[1]["features"]

    variables = drawn(model, (sizes[0], sizes[0], 3))
    for size in sizes:
        images = np.random.default_rng(size).normal(0, 1, (2, size, size, 3)).astype(np.float32)
        if "paper" in name:
            images *= 100  # raw pixels, as in 2012, whose squares response normalisation feels
        expected = reference(variables, images.astype(np.float64))
        got = run(variables, images)
        assert set(got) == set(expected)
        for feature, value in expected.items():
            difference = np.abs(np.asarray(got[feature]) - value).max() / np.abs(value).max()
            assert difference < TOLERANCE, (feature, size, difference)
