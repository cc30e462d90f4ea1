from functools import partial

import jax
import numpy as np
import pytest
from scipy.signal import correlate2d

from cnn_jax.models import abstract_variables, create_model, features, initialize
from cnn_jax.models.lenet import C3_TABLE

KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(0)}


def count(model, shape=(32, 32, 1)):
    return sum(leaf.size for leaf in jax.tree.leaves(abstract_variables(model, shape)["params"]))


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        # C1 156, C3 2,416, C5 48,120, F6 10,164, output 850.
        ({}, 61_706),
        # Table I gives C3 1,516 parameters.
        ({"connections": "sparse"}, 61_706 - 2_416 + 1_516),
        # Two 3×3 in place of each 5×5: 60 + 330 and 880 + 2,320.
        ({"five_by_five": "3x3_twice"}, 61_706 - 156 - 2_416 + 60 + 330 + 880 + 2_320),
    ],
)
def test_lenet5_counts_its_parameters(options, parameters):
    model = create_model("lenet5", options=options)
    assert count(model, (32, 32, 1)) == count(model, (28, 28, 1)) == parameters


@pytest.mark.parametrize("size", [8, 27, 30, 33, 224])
def test_lenet5_refuses_other_sizes(size):
    with pytest.raises(ValueError, match=f"lenet5 takes images of 32×32, or of 28×28 .* got {size}×{size}; resize"):
        abstract_variables(create_model("lenet5"), (size, size, 1))


def test_lenet5_pads_28_by_2():
    model = create_model("lenet5")
    images = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype(np.float32)
    variables = initialize(model, KEYS, (28, 28, 1))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_array_equal(
        model.apply(variables, images, train=False), model.apply(variables, padded, train=False)
    )


def test_lenet5_agrees_with_scipy():
    model = create_model("lenet5")
    image = np.random.default_rng(1).normal(size=(32, 32))
    variables = initialize(model, KEYS, (32, 32, 1))
    p = jax.tree.map(np.float64, variables["params"])

    def layer(maps, kernel, bias):
        sums = [sum(correlate2d(m, kernel[:, :, i, o], "valid") for i, m in enumerate(maps)) for o in range(len(bias))]
        return [np.tanh(s + b) for s, b in zip(sums, bias, strict=True)]

    def halve(maps):
        return [m.reshape(m.shape[0] // 2, 2, m.shape[1] // 2, 2).mean((1, 3)) for m in maps]

    maps = halve(layer([image], p["c1"]["kernel"], p["c1"]["bias"]))
    maps = halve(layer(maps, p["c3"]["kernel"], p["c3"]["bias"]))
    x = np.stack(maps, -1).reshape(-1)
    for name in ("c5", "f6"):
        x = np.tanh(x @ p[name]["kernel"] + p[name]["bias"])
    logits = x @ p["head"]["kernel"] + p["head"]["bias"]
    ours = jax.jit(partial(features, model))(variables, image.astype(np.float32)[None, :, :, None])
    np.testing.assert_allclose(ours["logits"][0], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours["pool"][0], np.stack(maps, -1), rtol=1e-4, atol=1e-5)


def test_c3_table_is_the_papers():
    assert [len(row) for row in C3_TABLE] == [3] * 6 + [4] * 9 + [6]
    # Every map of S2 feeds ten maps of C3.
    assert [sum(i in row for row in C3_TABLE) for i in range(6)] == [10] * 6


@pytest.mark.slow
def test_sparse_c3_sees_only_its_maps():
    model = create_model("lenet5", options={"connections": "sparse"})
    variables = initialize(model, KEYS, (32, 32, 1))
    images = np.random.default_rng(2).normal(size=(1, 32, 32, 1)).astype(np.float32)
    bias = variables["params"]["c1"]["bias"]
    moved = jax.tree.map(lambda x: x, variables)
    moved["params"]["c1"]["bias"] = bias.at[0].add(1.0)
    stage2 = jax.jit(lambda variables: features(model, variables, images)["stage2"][0])
    before, after = stage2(variables), stage2(moved)
    changed = [bool(np.any(before[..., i] != after[..., i])) for i in range(16)]
    assert changed == [0 in row for row in C3_TABLE]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connections": "sparse", "width": 2.0}, "the sparse C3 connects 6 maps, got 12"),
        ({"connections": "sparse", "five_by_five": "3x3_twice"}, "the sparse C3 is a table of 5×5 filters"),
        ({"five_by_five": "3x3"}, "one 3×3 does not take lenet5's maps"),
    ],
)
def test_lenet5_refuses_contradictory_options(options, message):
    model = create_model("lenet5", options=options)
    with pytest.raises(ValueError, match=message):
        abstract_variables(model, (32, 32, 1))
