"""The same experiment on any number of devices and processes, under every strategy, computes the same thing.

With BatchNorm and augmentation.  In float64 and at a rate of 0.1, a wrong average (of gradients, of BatchNorm's
statistics) changes the losses of ten steps in the first digits; rounding changes them by 1e-15.  The fast tests take
one convolution with BatchNorm and a classifier, the slow ones a narrow residual network of one block a stage and
ResNet-20.
"""

import itertools

import numpy as np
import pytest

STRATEGIES = ("jit", "pmap", "fsdp")
NO_NORM = ('model.options.norm="none"', "model.options.dropout=0.3", "model.options.drop_path=0.3")


def assert_same(found, wanted, *, relative):
    """The losses within `relative`, gradients, statistics and logits within `relative` of the largest."""
    np.testing.assert_allclose(found["losses"], wanted["losses"], rtol=relative)
    for key in ("gradient", "statistics"):
        np.testing.assert_allclose(found[key], wanted[key], rtol=0, atol=relative * np.abs(wanted[key]).max())
    float32 = max(relative, 1e-6)  # which is what answers are given in, whatever they were computed in
    np.testing.assert_allclose(found["logits"], wanted["logits"], rtol=0, atol=float32 * np.abs(wanted["logits"]).max())


SMALL = "small_network:Small"
MODELS = [SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet8_cifar", "resnet20_cifar"))]


@pytest.mark.parametrize("devices", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2)), 8])
@pytest.mark.parametrize("model", MODELS)
def test_devices_and_strategies_agree_in_float64(ten_steps, model, devices):
    wanted = ten_steps(model, 1, "float64", 0.1, strategies=("jit",))[0]["jit"]
    assert len(set(wanted["losses"])) == 10  # it does train
    for found in ten_steps(model, devices, "float64", 0.1)[0].values():
        assert found["rows"] == wanted["rows"]
        assert_same(found, wanted, relative=1e-9)


@pytest.mark.parametrize(("model", "norms"), [(SMALL, 1), pytest.param("resnet8_cifar", 7, marks=pytest.mark.slow)])
def test_batch_norm_meets_twice_gradients_are_reduced_together_and_fsdp_holds_a_part(ten_steps, model, norms):
    found = ten_steps(model, 8, "float64", 0.1)[0]
    for strategy in STRATEGIES:  # one for each BatchNorm in either direction
        of_norms = [name for name in found[strategy]["messages"] if "norm" in name]
        backward = sum("transpose(jvp" in name for name in of_norms)
        assert len(of_norms) - backward == norms
        assert norms <= backward <= norms + 1  # the gradients of scales and biases may be in one of all gradients
    for strategy in ("jit", "pmap"):  # and a few for all gradients and metrics together
        assert 0 < len(found[strategy]["messages"]) - 2 * norms <= 6
    assert found["jit"]["state_share"] == found["pmap"]["state_share"] == 1
    assert found["fsdp"]["state_share"] < 0.7  # small arrays stay whole


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 8])
def test_devices_and_strategies_agree_in_float32_at_a_small_rate(ten_steps, devices):
    wanted = ten_steps("resnet20_cifar", 1, "float32", 1e-4)[0]["jit"]
    for found in ten_steps("resnet20_cifar", devices, "float32", 1e-4)[0].values():
        assert found["rows"] == wanted["rows"]
        assert_same(found, wanted, relative=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("model", MODELS)
def test_processes_are_as_one(ten_steps, model, processes):
    wanted = ten_steps(model, 1, "float64", 0.1)[0]["jit"]
    outputs = ten_steps(model, 1, "float64", 0.1, processes=processes)
    for strategy in STRATEGIES:
        parts = [output[strategy] for output in outputs]
        steps = zip(*(part["rows"] for part in parts), strict=True)
        assert [list(itertools.chain(*step)) for step in steps] == wanted["rows"]
        for part in parts:
            assert_same(part, wanted, relative=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_are_as_one_in_float32_at_a_small_rate(ten_steps, processes):
    wanted = ten_steps("resnet20_cifar", 1, "float32", 1e-4)[0]["jit"]
    for output in ten_steps("resnet20_cifar", 1, "float32", 1e-4, processes=processes):
        for found in output.values():
            assert_same(found, wanted, relative=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("devices", "strategies"),
    [(1, ("jit",)), (2, ("jit", "pmap")), (8, STRATEGIES)],
)
def test_accumulation_without_batch_norm_is_the_whole_batch_with_its_dropout(ten_steps, devices, strategies):
    wanted = ten_steps("resnet8_cifar", 1, "float64", 0.02, *NO_NORM, strategies=("jit",))[0]["jit"]
    changes = (*NO_NORM, "parallel.accumulate=4")
    for found in ten_steps("resnet8_cifar", devices, "float64", 0.02, *changes, strategies=strategies)[0].values():
        assert_same(found, wanted, relative=1e-9)


@pytest.mark.slow
def test_ghost_batches_and_micro_batches_do_not_depend_on_the_devices(ten_steps):
    changes = ("parallel.accumulate=2", "model.ghost_batch=4")
    wanted = ten_steps("resnet8_cifar", 1, "float64", 0.1, *changes, strategies=("jit",))[0]["jit"]
    # pmap is where a device sees its own rows only.
    found = ten_steps("resnet8_cifar", 4, "float64", 0.1, *changes, strategies=("pmap",))[0]["pmap"]
    assert_same(found, wanted, relative=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("mix", ['["mixup(0.4)"]', '["cutmix(1.0)"]'], ids=["mixup", "cutmix"])
def test_mixing_pairs_examples_of_all_processes(ten_steps, mix):
    layouts, changes = ("jit", "pmap"), (f"data.mix={mix}",)
    wanted = ten_steps("resnet8_cifar", 1, "float64", 0.1, *changes, strategies=("jit",))[0]["jit"]
    assert wanted["losses"] != ten_steps("resnet8_cifar", 1, "float64", 0.1)[0]["jit"]["losses"]
    for output in ten_steps("resnet8_cifar", 1, "float64", 0.1, *changes, processes=2, strategies=layouts):
        for found in output.values():
            np.testing.assert_allclose(found["losses"], wanted["losses"], rtol=1e-9)
