"""What a GPU or a TPU is given: XLA's own operations alone, in forms that a GPU computes alike every time."""

import re
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig, create_model, ops
from cnn_jax.data import apply_augment, parse_augment
from cnn_jax.models import abstract_variables, initialize
from cnn_jax.runs.session import open_session
from cnn_jax.training.carry import carrying, many_steps
from cnn_jax.training.gradient import loss_gradient
from cnn_jax.training.losses import softmax_cross_entropy
from cnn_jax.training.state import TrainState

# What our forms for CPUs are made of, and what a GPU does in an order of its own choice.
FOREIGN = {"optimization_barrier", "custom_call", "case", "while", "select_and_scatter", "scatter"}
# Each with its side, and the convolutions in it: three for every layer, less the first one's gradient to the images.
FAMILIES = {
    "lenet5": (28, 2),
    "alexnet_paper": (227, 5),
    "vgg11_bn": (64, 8),
    "googlenet_paper": (64, 57),
    "inception_v3": (128, 94),
    "resnet50": (64, 53),
    "resnet8_cifar": (32, 7),
    "resnet20_v2_cifar": (32, 19),
    "wrn16_8": (32, 16),
}
AUGMENT = ("resize(28)", "rotate(10)", "pad_crop(2)", "cutout(4)")


def operations(function, *arguments, platform):
    """How often each operation stands in the program for a platform that need not be here."""
    with ops.context(platform=platform):
        text = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
    return Counter(re.findall(r"(?:stablehlo|chlo)\.(\w+)", text)), text


def gradient_of(name, side, dtype="float32"):
    """The gradient of a network's loss as a training step takes it, and the shapes of what it is given."""
    model = create_model(name, 10, dtype=dtype)
    variables = abstract_variables(model, (side, side, 3))
    gradient = loss_gradient(model, softmax_cross_entropy, context=ops.Context(), seed=0, batch_size=2)

    def of(params, batch_stats, images, labels):
        state = TrainState(jnp.zeros((), jnp.int32), params, batch_stats, (), None)
        return gradient(state, params, batch_stats, images, labels, jnp.arange(2))

    images, labels = jax.ShapeDtypeStruct((2, side, side, 3), "float32"), jax.ShapeDtypeStruct((2,), "int32")
    return of, (variables["params"], variables.get("batch_stats", {}), images, labels)


@pytest.mark.parametrize("platform", ["cuda", pytest.param("tpu", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in ("lenet5", "resnet8_cifar"))) for n in FAMILIES]
)
def test_the_step_of_a_family_is_made_of_plain_operations(name, platform):
    side, layers = FAMILIES[name]
    function, arguments = gradient_of(name, side, "bfloat16" if platform == "tpu" else "float32")
    found, _ = operations(function, *arguments, platform=platform)
    assert not FOREIGN & set(found), found
    assert found["convolution"] == 3 * layers - 1


def test_the_same_step_for_a_cpu_holds_what_these_do_without():
    found, _ = operations(*(lambda f, a: (f, *a))(*gradient_of("lenet5", 28)), platform="cpu")
    assert FOREIGN & set(found)


def test_many_whole_steps_with_augmentation_and_mixing_scatter_nothing_and_are_there_once():
    config = Config(
        model=ModelConfig("lenet5", precision="highest"),
        data=DataConfig("digits", batch_size=8, augment=AUGMENT, mix=("cutmix()",), eval_augment=("resize(28)",)),
        optim=OptimConfig(ema_decay=0.9),
        train=TrainConfig(steps=2),
    )
    session = open_session(config)
    carry, rows, images, labels = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype),
        (
            session.abstract_checkpoint(),
            session.abstract_rows(),
            jax.ShapeDtypeStruct((1258, 8, 8, 1), jnp.uint8),
            jax.ShapeDtypeStruct((1258,), jnp.int32),
        ),
    )

    def steps(carry, rows, images, labels):
        return many_steps(carrying(session.train_step), images, labels)(carry, rows)

    found, text = operations(steps, carry, rows, images, labels, platform="cuda")
    assert not FOREIGN & set(found) - {"while"}, found  # the steps' loop, and threefry's
    assert found["convolution"] == 5
    products = [line for line in text.splitlines() if "stablehlo.convolution" in line or "stablehlo.dot" in line]
    assert len(products) > 10 and all("HIGHEST" in line for line in products)


def test_products_that_are_not_the_networks_are_exact_at_any_precision():
    chain = parse_augment(["random_grayscale()", "rotate(7)", "pca_lighting()"])
    images, rows = jax.ShapeDtypeStruct((8, 8, 8, 3), jnp.uint8), jax.ShapeDtypeStruct((8,), jnp.int32)

    def augmented(images, epoch, index):
        return apply_augment(chain, images, seed=0, epoch=epoch, index=index)

    _, text = operations(augmented, images, rows, rows, platform="cuda")
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert len(products) == 3 and all("HIGHEST" in line for line in products)


@pytest.mark.parametrize("targets", ["labels", "shares"])
def test_the_loss_without_a_scatter_is_the_same_to_rounding(targets):
    random = np.random.default_rng(0)
    logits, labels = random.normal(size=(6, 5)).astype(np.float32), random.integers(0, 5, 6)
    given = jnp.asarray(labels) if targets == "labels" else jax.nn.one_hot(labels, 5)
    f = jax.value_and_grad(lambda x: softmax_cross_entropy(x, given).sum())
    here = f(logits)
    with ops.context(platform="cuda"):
        there = f(logits)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), here, there)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet5", "resnet8_cifar", "alexnet_paper", "googlenet_paper", "resnet20_v2_cifar"])
def test_networks_have_forward_mode_there(name):
    side = {"lenet5": 28, "alexnet_paper": 67, "googlenet_paper": 31}.get(name, 8)
    model = create_model(name, 4)
    variables = initialize(model, {"params": jax.random.key(0)}, (side, side, 1))
    x = jax.random.normal(jax.random.key(1), (2, side, side, 1))

    def loss(params):
        rest = {"mutable": ["batch_stats"], "rngs": {"dropout": jax.random.key(2)}}
        logits, _ = model.apply(variables | {"params": params}, x, train=True, **rest)
        return jax.nn.logsumexp(logits, axis=-1).sum()

    params = variables["params"]
    with ops.context(platform="cuda"):
        slope = jax.jvp(loss, (params,), (params,))[1]
        gradient = jax.grad(loss)(params)
    along = sum(jnp.vdot(g, p) for g, p in zip(jax.tree.leaves(gradient), jax.tree.leaves(params), strict=True))
    np.testing.assert_allclose(slope, along, rtol=1e-3)  # two orders of sums in float32
