import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cnn_jax.modules import BatchNorm, GroupNorm
from cnn_jax.ops import context

IMAGES = np.random.default_rng(0).normal(2.0, 3.0, size=(8, 3, 5, 4)).astype(np.float32)


def train_step(norm, images=IMAGES):
    variables = norm.init(jax.random.key(0), images, train=False)
    y, state = norm.apply(variables, images, train=True, mutable=["batch_stats"])
    return y, state["batch_stats"], variables


def test_batch_norm_keeps_momentum_of_the_old_average():
    y, stats, _ = train_step(BatchNorm(momentum=0.75))
    np.testing.assert_allclose(stats["mean"], 0.25 * IMAGES.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.75 + 0.25 * IMAGES.var((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(y.std((0, 1, 2)), 1.0, rtol=1e-4)


def test_batch_norm_unbiased_takes_the_variance_over_n_minus_1():
    with context(unbiased_variance=True):
        _, stats, _ = train_step(BatchNorm(momentum=0.0))
    np.testing.assert_allclose(stats["var"], IMAGES.var((0, 1, 2), ddof=1), rtol=1e-5)


def test_batch_norm_evaluates_with_the_running_averages():
    norm = BatchNorm()
    variables = {
        "params": {"scale": jnp.full(4, 2.0), "bias": jnp.full(4, 3.0)},
        "batch_stats": {"mean": jnp.full(4, 5.0), "var": jnp.full(4, 7.0)},
    }
    y = norm.apply(variables, IMAGES, train=False)
    np.testing.assert_allclose(y, 2 * (IMAGES - 5) / np.sqrt(7 + 1e-5) + 3, rtol=1e-5)


def test_batch_norm_initialisation_does_not_move_the_averages():
    variables = BatchNorm().init(jax.random.key(0), IMAGES, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0.0)


def test_frozen_batch_norm_is_evaluation():
    norm = BatchNorm()
    with context(frozen_norm=True):
        y, stats, variables = train_step(norm)
    np.testing.assert_array_equal(y, norm.apply(variables, IMAGES, train=False))
    np.testing.assert_array_equal(stats["mean"], variables["batch_stats"]["mean"])


def test_ghost_batches_are_normalised_by_themselves():
    with context(ghost_batch=4):
        y, stats, _ = train_step(BatchNorm(momentum=0.0))
    halves = [train_step(BatchNorm(momentum=0.0), IMAGES[i : i + 4]) for i in (0, 4)]
    np.testing.assert_allclose(y, np.concatenate([half[0] for half in halves]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(stats["var"], (halves[0][1]["var"] + halves[1][1]["var"]) / 2, rtol=1e-5)


def test_ghost_batches_are_not_split_over_devices():
    mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    for ghost_batch in (None, 4):
        with context(batch=NamedSharding(mesh, PartitionSpec("data")), ghost_batch=ghost_batch):
            # Under `jax.checkpoint`, the gradient's forward pass is traced when the ghost batches are done.
            program = str(
                jax.make_jaxpr(jax.grad(jax.checkpoint(lambda x: train_step(BatchNorm(), x)[0].sum())))(IMAGES)
            )
        assert ("sharding_constraint" in program) == (ghost_batch is None)


def test_ghost_batch_must_divide_the_batch():
    with pytest.raises(ValueError, match=r"`ghost_batch` \(3\) must divide the batch of 8"), context(ghost_batch=3):
        train_step(BatchNorm())


class OnesOwn(nn.Module):
    """A network that passes nothing on to its normalisation."""

    @nn.compact
    def __call__(self, x, *, train):
        return BatchNorm(momentum=0.0)(x, train=train)


def test_a_network_of_ones_own_has_the_statistics_of_all_rows_along_the_axis():
    def run(images):
        with context(batch="devices"):
            return train_step(OnesOwn(), images)[:2]

    y, stats = jax.vmap(run, axis_name="devices")(IMAGES.reshape(2, 4, 3, 5, 4))
    whole, expected, _ = train_step(OnesOwn())
    np.testing.assert_allclose(y.reshape(IMAGES.shape), whole, rtol=1e-5, atol=1e-5)
    for device in (0, 1):
        np.testing.assert_allclose(stats["BatchNorm_0"]["var"][device], expected["BatchNorm_0"]["var"], rtol=1e-5)


@pytest.mark.parametrize(
    ("groups", "channels"), [(2, [(0, 1), (2, 3)]), (1, [(0, 1, 2, 3)]), (32, [(0,), (1,), (2,), (3,)])]
)
def test_group_norm_normalises_each_group_of_each_example(groups, channels):
    y, _ = GroupNorm(groups).init_with_output(jax.random.key(0), IMAGES)
    for group in channels:
        part = np.float64(IMAGES[..., list(group)])
        mean, var = part.mean((1, 2, 3), keepdims=True), part.var((1, 2, 3), keepdims=True)
        np.testing.assert_allclose(y[..., jnp.array(group)], (part - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("ghost_batch", "shape"),
    [(None, (1, 1, 1, 4)), (1, (8, 1, 1, 4)), (None, (0, 3, 3, 4))],
    ids=["batch 1", "ghost batch 1", "no image"],
)
def test_statistics_of_one_value_or_none_are_refused(ghost_batch, shape):
    message = r"needs more than one value a channel.*larger batch, micro-batch or ghost"
    with pytest.raises(ValueError, match=message), context(ghost_batch=ghost_batch):
        train_step(BatchNorm(), np.zeros(shape, np.float32))


def test_one_value_a_channel_is_enough_without_learning():
    image, norm = np.ones((1, 1, 1, 4), np.float32), BatchNorm()
    for frozen in (False, True):
        with context(frozen_norm=frozen):
            variables = norm.init(jax.random.key(0), image, train=frozen)
            assert norm.apply(variables, image, train=frozen).shape == image.shape


def test_group_norm_of_one_value_a_group_is_refused_in_training_alone():
    norm, images = GroupNorm(32), jnp.ones((2, 1, 1, 4))
    variables = norm.init(jax.random.key(0), images)
    np.testing.assert_array_equal(norm.apply(variables, images, train=False), 0)
    with pytest.raises(ValueError, match="in training needs more than one value a group"):
        norm.apply(variables, images, train=True)
