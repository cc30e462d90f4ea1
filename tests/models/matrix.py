"""Every model at a size small enough to run: one row a name, crossed with the shared checks of `test_matrix.py`."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.models import MODELS, Architecture, Network, abstract_variables, create_model

NUM_CLASSES = 4
# Programs that run once on tiny images: the compiler's work is what a test would wait for.
QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

# What makes a model cheap; the rest take an eighth of the width and images of 32×32.
_OPTIONS: dict[str, dict] = {"lenet5": {}}
_SIZES = {"lenet5": 28, "alexnet": 63, "alexnet_paper": 67, "inception_v3": 75}


def small(name: str, dtype: Any = jnp.float32, **options: Any) -> tuple[Network, np.ndarray]:
    """The model called `name` with four classes at reduced width and full depth, and a batch of two images for it."""
    model = create_model(name, NUM_CLASSES, dtype, (_OPTIONS.get(name, {"width": 0.125}) | options))
    size, channels = _SIZES.get(name, 32), MODELS[name].image_shape[-1]
    images = np.random.default_rng(0).normal(size=(2, size, size, channels))
    return model, images.astype(jnp.dtype(dtype))


def _shallow(entry: Architecture) -> Architecture:
    """The architecture with two blocks in the first stage and one in each other: some that stride, some that do not."""
    depths = getattr(entry.constructor(), "depths", None)
    if depths is None:
        return entry
    few = (min(2, depths[0]),) + (1,) * (len(depths) - 1)
    return dataclasses.replace(entry, constructor=functools.partial(entry.constructor, depths=few))


def shallow(name: str, dtype: Any = jnp.float32, **options: Any) -> tuple[Network, np.ndarray]:
    """As `small`, but of reduced depth too."""
    _, images = small(name, dtype)
    choices = _OPTIONS.get(name, {"width": 0.125}) | options
    return _shallow(MODELS[name]).constructor(NUM_CLASSES, dtype, **choices), images


def drawn(model: Network, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Kernels that keep the signal's size, and biases, scales and statistics that are not zero and one.

    Drawn by NumPy: a program that draws is compiled for longer than the network.
    """
    random = np.random.default_rng(0)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        match path[-1].key:
            case "kernel":
                value = random.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
            case "var":
                value = random.uniform(0.5, 2.0, leaf.shape)
            case kind:
                value = (kind == "scale") + random.normal(0, 0.2, leaf.shape)
        return value.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, abstract_variables(model, shape))


NAMES = list(MODELS)
# One of most families and kinds of block: the default suite looks closely at these, the slow one at all.
FAMILIES = {"lenet5", "alexnet_paper", "vgg11_bn", "resnet50", "resnet8_cifar", "resnet20_v2_cifar"}
# ResNet-50, 101 and 152 are one network when shallow; these names are those whose shallow form is new.
SHALLOW_NAMES = list({repr(_shallow(entry).constructor()): name for name, entry in reversed(MODELS.items())}.values())[
    ::-1
]
