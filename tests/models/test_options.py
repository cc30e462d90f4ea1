"""What an ablation changes, in every family that offers it: the network changes, and still trains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrix import QUICK_COMPILE, drawn, shallow

from cnn_jax.models import abstract_variables, create_model, initialize
from cnn_jax.ops import context

KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}

ROWS = [
    (name, options)
    for names, options in (
        (("lenet5", "resnet20_cifar", "vgg11", "googlenet"), {"activation": "sigmoid"}),
        (("resnet20_cifar", "vgg11", "resnet20_v2_cifar", "alexnet"), {"norm": "group"}),
        (("resnet20_cifar", "googlenet"), {"norm": "layer"}),
        (("resnet50", "googlenet", "inception_v3", "wrn16_8"), {"norm": "none"}),
        (("lenet5", "vgg11"), {"norm": "batch"}),
        (("resnet18", "resnet50_v2"), {"stem": "cifar"}),
        (("resnet20_cifar",), {"stem": "imagenet"}),
        (("vgg11", "resnet18"), {"pool": "avg"}),
        (("lenet5",), {"pool": "max"}),
        (("lenet5", "googlenet"), {"five_by_five": "3x3_twice"}),
        (("googlenet",), {"five_by_five": "5x5"}),
        (("lenet5",), {"connections": "sparse"}),
        (("resnet20_cifar", "resnet50", "resnet20_v2_cifar"), {"shortcut": "C"}),
        (("resnet50", "wrn16_8"), {"shortcut": "A"}),
        (("resnet20_v2_cifar",), {"shortcut": "none"}),
        (("resnet50_v2", "inception_v3"), {"variant": "keras"}),
    )
    for name in names
]


@functools.cache
def program(name, **options):
    """The shape of the logits, and the traced program of training."""
    model, images = shallow(name, **options)
    call = lambda v, x: model.apply(  # noqa: E731
        v, x, train=True, mutable=["batch_stats"], rngs={"dropout": KEYS["dropout"]}
    )
    jaxpr, (logits, _) = jax.make_jaxpr(call, return_shape=True)(abstract_variables(model, images.shape[1:]), images)
    return logits.shape, str(jaxpr)


# They take longest to trace; other networks show the same options.
LONG = ("googlenet", "inception_v3", "resnet50", "alexnet")


@pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(n, o, id=f"{n}-{next(iter(o.items()))}", marks=[pytest.mark.slow] * (n in LONG)) for n, o in ROWS],
)
def test_option_changes_the_program_and_keeps_the_interface(name, options):
    (shape, changed), (plain_shape, unchanged) = program(name, **options), program(name)
    assert shape == plain_shape
    assert changed != unchanged


def gradient(model, variables, images):
    @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
    def run(params):
        def loss(params):
            call = {**variables, "params": params}
            logits, _ = model.apply(call, images, train=True, mutable=["batch_stats"], rngs=KEYS)
            return jnp.square(logits - 1.0).sum()

        return jax.value_and_grad(loss)(params)

    return run(variables["params"])


@pytest.mark.slow  # as `model.remat` of tests/wiring_rows.py
def test_remat_changes_memory_and_not_the_gradient():
    plain, images = shallow("resnet20_cifar", drop_path=0.5)
    remat, _ = shallow("resnet20_cifar", drop_path=0.5, remat=True)
    variables = initialize(plain, KEYS, images.shape[1:])
    for a, b in zip(*(jax.tree.leaves(gradient(m, variables, images)) for m in (plain, remat)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def part_of_fresh_params(model, shape, part):
    """What `part` takes of freshly drawn parameters; no other is drawn, for the compiler sees that nobody asks."""
    return jax.jit(lambda: part(initialize(model, KEYS, shape)["params"]), compiler_options=QUICK_COMPILE)()


def test_zero_scale_starts_every_residual_branch_at_nothing():
    model, images = shallow("resnet20_cifar", zero_init_scale=True)
    scales = part_of_fresh_params(
        model,
        images.shape[1:],
        lambda params: {
            block: [params[block][norm]["scale"] for norm in ("norm1", "norm2")] for block in params if "block" in block
        },
    )
    assert len(scales) == 4
    assert all(first.all() and not second.any() for first, second in scales.values())


def test_frozen_statistics_stay_in_training():
    model, images = shallow("resnet8_cifar")
    variables = drawn(model, images.shape[1:])

    @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
    def both(variables):
        with context(frozen_norm=True):
            trained = model.apply(variables, images, train=True, mutable=["batch_stats"], rngs=KEYS)
        return trained, model.apply(variables, images, train=False)

    (logits, state), evaluated = both(variables)
    np.testing.assert_array_equal(logits, evaluated)
    jax.tree.map(np.testing.assert_array_equal, state["batch_stats"], variables["batch_stats"])


@pytest.mark.parametrize(("init", "deviation"), [("he", (2 / 400) ** 0.5), ("lecun", 0.05), ("normal", 0.01)])
def test_initialisations_have_their_deviation(init, deviation):
    model = create_model("lenet5", options={"kernel_init": init})
    kernel = part_of_fresh_params(model, (28, 28, 1), lambda params: params["c5"]["kernel"])
    # 48,000 draws: the sample deviation is within a few parts in a thousand.
    assert float(kernel.std()) == pytest.approx(deviation, rel=0.02)


def test_width_scales_hidden_channels_and_not_the_classes():
    model = create_model("resnet50", 10, options={"width": 2.0})
    params = abstract_variables(model, (64, 64, 3))["params"]
    assert params["stem_conv"]["kernel"].shape == (7, 7, 3, 128)
    assert params["head"]["kernel"].shape == (4096, 10)


def test_unbiased_running_variance_reaches_the_networks():
    model = create_model("resnet8_cifar", 10)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    variables = drawn(model, (8, 8, 3))

    def variance(unbiased):
        @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
        def run(variables):
            with context(unbiased_variance=unbiased):
                _, state = model.apply(variables, images, train=True, mutable=["batch_stats"])
            return state["batch_stats"]["stem_norm"]["var"]

        return run(variables)

    # Of 2 · 8 · 8 values; the old average keeps a share of 0.9.
    kept = 0.9 * variables["batch_stats"]["stem_norm"]["var"]
    np.testing.assert_allclose(variance(True), kept + (variance(False) - kept) * 128 / 127, rtol=1e-4)
