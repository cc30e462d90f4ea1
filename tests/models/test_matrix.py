"""The checks that every model passes; a new model adds a row and inherits them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrix import FAMILIES, NAMES, NUM_CLASSES, QUICK_COMPILE, SHALLOW_NAMES, drawn, shallow, small

from cnn_jax.models import abstract_variables, features

KEY = jax.random.key(0)


def apply_train(model, variables, images, mutable=("batch_stats",)):
    return model.apply(variables, images, train=True, mutable=list(mutable), rngs={"dropout": KEY})


def rows(names, kept):
    """The names, those that are not among `kept` as slow ones."""
    return [pytest.param(name, marks=[pytest.mark.slow] * (name not in kept)) for name in names]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(
            name,
            dtype,
            marks=[pytest.mark.slow] * (name not in FAMILIES or dtype not in ("float32", "bfloat16")),
        )
        for name in SHALLOW_NAMES
        for dtype in ("float32", "bfloat16", "float16", "float64")  # the last two take the ways of the first two
    ],
)
def test_model_keeps_parameters_and_logits_in_full_precision(name, dtype):
    full = "float64" if dtype == "float64" else "float32"
    with jax.enable_x64(dtype == "float64"):
        model, images = shallow(name, dtype)
        tree = abstract_variables(model, images.shape[1:])
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(tree)} == {full}
        for train in (False, True):
            logits, state = jax.eval_shape(
                lambda v, x, train=train: model.apply(
                    v, x, train=train, mutable=["batch_stats", "features"], rngs={"dropout": KEY}
                ),
                tree,
                images,
            )
            assert (logits.shape, logits.dtype) == ((2, NUM_CLASSES), full)
            assert jax.tree.map(lambda leaf: leaf.dtype, state.get("batch_stats", {})) == jax.tree.map(
                lambda leaf: leaf.dtype, tree.get("batch_stats", {})
            )
            assert str(state["features"]["stem"].dtype) == dtype


@pytest.mark.parametrize("name", rows(SHALLOW_NAMES, FAMILIES))
def test_model_names_its_features(name):
    model, images = shallow(name)
    tree = abstract_variables(model, images.shape[1:])
    named = jax.eval_shape(lambda v, x: features(model, v, x), tree, images)
    assert {"stem", "stage1", "stage2", "pool", "logits"} <= set(named)
    stages = [name for name in named if name.startswith("stage")]
    assert sorted(stages) == [f"stage{i + 1}" for i in range(len(stages))]
    assert set(tree) <= {"params", "batch_stats"}


@pytest.mark.parametrize("name", rows(SHALLOW_NAMES, FAMILIES))
def test_model_without_classifier_gives_what_the_classifier_sees(name):
    model, images = shallow(name)
    bare = model.clone(num_classes=0)
    tree, bare_tree = (abstract_variables(m, images.shape[1:]) for m in (model, bare))
    assert set(tree["params"]) - set(bare_tree["params"]) == {"head"}
    out = jax.eval_shape(lambda v, x: bare.apply(v, x, train=False), bare_tree, images)
    assert bare.aux_weight == {}
    assert out.shape == (2, tree["params"]["head"]["kernel"].shape[0])


def unused_parameters(model, images, *, train):
    """The parameters that the logits do not depend on, found in the traced program without running it."""
    tree = abstract_variables(model, images.shape[1:])

    def loss(params, rest):
        variables = {**rest, "params": params}
        if train:
            return apply_train(model, variables, images)[0].sum()
        return model.apply(variables, images, train=False).sum()

    rest = {k: v for k, v in tree.items() if k != "params"}
    jaxpr = jax.make_jaxpr(loss)(tree["params"], rest).jaxpr
    _, used = jax.interpreters.partial_eval.dce_jaxpr(jaxpr, [True])
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree["params"])]
    return [path for path, is_used in zip(paths, used, strict=False) if not is_used]


@pytest.mark.parametrize("name", rows(NAMES, {"resnet20_cifar"}))  # the rest is seen shallow, below
def test_every_parameter_of_the_full_depth_reaches_the_logits(name):
    assert unused_parameters(*small(name), train=True) == []


@pytest.mark.parametrize("name", rows(SHALLOW_NAMES, set(SHALLOW_NAMES) - {"inception_v3", "googlenet"}))  # the longest
def test_every_parameter_reaches_the_logits_in_training(name):
    assert unused_parameters(*shallow(name), train=True) == []


@pytest.mark.parametrize(("dtype", "train"), [("float32", False), ("bfloat16", True)])
@pytest.mark.parametrize("name", rows(SHALLOW_NAMES, FAMILIES))
def test_every_parameter_reaches_the_logits_in_evaluation_and_in_half_precision(name, dtype, train):
    assert unused_parameters(*shallow(name, dtype), train=train) == []


# What is compiled is few; that the parameters reach the logits is seen in the traced programs, always.
COMPILED = {"lenet5", "resnet8_cifar"}


@pytest.mark.parametrize("name", rows(SHALLOW_NAMES, COMPILED))
def test_gradient_reaches_every_parameter(name):
    model, images = shallow(name)
    start = drawn(model, images.shape[1:])

    @functools.partial(jax.jit, compiler_options=QUICK_COMPILE)
    def gradient(params):
        def loss(params):
            logits, state = apply_train(model, {**start, "params": params}, images)
            return jnp.square(logits - 1.0).sum(), state

        return jax.grad(loss, has_aux=True)(params)

    gradients, state = gradient(start["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), jax.tree_util.keystr(path)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.get("batch_stats", {})):
        old = dict(jax.tree_util.tree_leaves_with_path(start["batch_stats"]))[path]
        assert np.any(leaf != old), f"training does not move {jax.tree_util.keystr(path)}"
