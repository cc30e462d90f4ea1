import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import apply_mix, parse_augment, parse_mix


@pytest.fixture
def batch():
    """Images that are each one value, their own number, and one-hot targets."""
    images = jnp.broadcast_to(jnp.arange(16, dtype=jnp.float32)[:, None, None, None], (16, 8, 10, 1))
    return images, jax.nn.one_hot(jnp.arange(16), 16)


fast = {"xla_backend_optimization_level": 0}  # random numbers compile in a tenth of the time
compiled = jax.jit(apply_mix, static_argnums=0, static_argnames="seed", compiler_options=fast)


def mixed(specs, batch, step, seed=0):
    return [np.asarray(x) for x in compiled(parse_mix(specs), *batch, seed=seed, step=jnp.int32(step))]


def pairing(targets):
    """Each row's own share, and its partner."""
    own = np.diag(targets)
    rest = targets - np.diag(own)
    return own, np.where(rest.max(axis=1) > 0, rest.argmax(axis=1), np.arange(len(targets)))


@pytest.mark.parametrize("step", range(5))
def test_mixup_blends_images_and_targets_alike(batch, step):
    images, targets = mixed(["mixup(0.4)"], batch, step)
    own, partner = pairing(targets)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    alone = partner == np.arange(16)  # the permutation may leave an example in its place
    share = own[~alone]
    np.testing.assert_allclose(share, share[0], atol=1e-6)  # one share for the whole batch
    expected = np.where(alone, np.arange(16), share[0] * np.arange(16) + (1 - share[0]) * partner)
    np.testing.assert_allclose(images, np.broadcast_to(expected[:, None, None, None], images.shape), atol=1e-5)
    assert sorted(partner) == list(range(16))


@pytest.mark.parametrize("step", range(5))
def test_cutmix_weighs_the_targets_by_the_pasted_area(batch, step):
    images, targets = mixed(["cutmix(1.0)"], batch, step)
    own, partner = pairing(targets)
    pasted = images[..., 0] != np.arange(16)[:, None, None]
    for i in range(16):
        if partner[i] == i:
            assert not pasted[i].any()
            continue
        assert (images[i][pasted[i]] == partner[i]).all()
        rows, columns = pasted[i].any(axis=1).sum(), pasted[i].any(axis=0).sum()
        assert pasted[i].sum() == rows * columns
        np.testing.assert_allclose(own[i], 1 - pasted[i].mean(), atol=1e-6)


def test_cutmix_keeps_bytes(batch):
    images = batch[0].astype(jnp.uint8)
    assert mixed(["cutmix()"], (images, batch[1]), 0)[0].dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "alpha"), [("mixup(0.2)", 0.2), pytest.param("mixup(2.0)", 2.0, marks=pytest.mark.slow)]
)
def test_mixup_share_follows_the_beta_distribution(batch, spec, alpha):
    mix = parse_mix([spec])
    share = jax.vmap(lambda step: apply_mix(mix, *batch, seed=0, step=step)[1].max(axis=1).min())
    shares = jax.jit(share, compiler_options=fast)(jnp.arange(2000))
    drawn = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    reference = np.maximum(drawn, 1 - drawn)
    for q in (0.25, 0.5, 0.75):
        assert abs(np.quantile(shares, q) - np.quantile(reference, q)) < 0.025


@pytest.mark.slow  # of a training, tests/parallel/test_invariance.py says it
def test_mix_is_the_same_on_eight_devices():
    program = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from cnn_jax.data import apply_mix, parse_mix
images = np.arange(16 * 12, dtype=np.float32).reshape(16, 2, 2, 3)
targets = np.eye(16, dtype=np.float32)
mix = parse_mix(["mixup(0.4)", "cutmix(1.0)"])
assert jax.device_count() == 8
results = []
for n in (1, 8):
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:n]), "data"), P("data"))
    step = jax.jit(lambda x, t, k: apply_mix(mix, x, t, seed=1, step=k))
    args = [jax.device_put(a, sharding) for a in (images, targets)]
    results.append([[np.asarray(a) for a in step(*args, jnp.int32(k))] for k in range(4)])
for other in results[1:]:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), results[0], other)
"""
    environment = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=1"
    }
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=120)


@pytest.mark.slow
def test_one_of_several_is_drawn_in_each_step(batch):
    kinds = set()
    for step in range(12):
        images, targets = mixed(["mixup(1.0)", "cutmix(1.0)"], batch, step)
        assert images.dtype == np.float32
        kinds.add("cutmix" if (images == np.round(images)).all() else "mixup")
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert kinds == {"mixup", "cutmix"}


def test_mix_differs_between_steps_and_seeds_and_repeats_otherwise(batch):
    results = [mixed(["mixup(1.0)"], batch, step, seed)[0] for seed in (0, 1) for step in (0, 1)]
    for i, result in enumerate(results):
        assert all((result != other).any() for other in results[:i])
    np.testing.assert_array_equal(results[0], mixed(["mixup(1.0)"], batch, 0, 0)[0])


def test_no_mix_changes_nothing(batch):
    images, targets = mixed([], batch, 0)
    np.testing.assert_array_equal(images, batch[0])
    np.testing.assert_array_equal(targets, batch[1])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mixup(0)", "`mixup.alpha` must be positive, got 0; leave mixup out"),
        ("cutmix(-1.0)", "`cutmix.alpha` must be positive"),
        ("mixupp(1)", "did you mean mixup"),
    ],
)
def test_wrong_mix_is_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        parse_mix([spec]).check((8, 8, 3), 10)


def test_mix_draws_the_same_with_64_bit_types_allowed(batch):
    mix = parse_mix(["mixup(0.4)", "cutmix(1.0)"])
    with jax.enable_x64(True):
        program = str(jax.make_jaxpr(lambda k: apply_mix(mix, *batch, seed=0, step=k))(jnp.int32(0)))
    assert "bit_width=32" in program and "bit_width=64" not in program


def test_mixing_among_augmentations_names_its_own_key():
    with pytest.raises(ValueError, match=r"'mixup\(0.2\)' mixes the images of a batch with each other; .* `data.mix`"):
        parse_augment(["mixup(0.2)"])


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["mixup(1.0)", "cutmix(1.0)"])
def test_a_batch_of_doubles_is_mixed_in_doubles(spec):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        images, targets = rng.normal(size=(8, 4, 4, 3)), rng.dirichlet(np.ones(10), 8)
        mixed, labels = apply_mix(
            parse_mix([spec]), jnp.asarray(images), jnp.asarray(targets), seed=0, step=jnp.asarray(1)
        )
        assert (mixed.dtype, labels.dtype) == (jnp.float64, jnp.float64)
    # Every row of targets is a mixture of two, to the last bits of float64.
    for i, row in enumerate(np.asarray(labels)):
        errors = []
        for j in set(range(8)) - {i}:
            away = targets[i] - targets[j]
            share = (row - targets[j]) @ away / (away @ away)
            errors.append(np.abs(targets[i] * share + targets[j] * (1 - share) - row).max())
        assert min(errors) < 1e-14 or np.abs(row - targets[i]).max() < 1e-14


def test_half_precision_is_mixed_in_float32():
    images, targets = jnp.full((2, 1, 1, 1), 3, jnp.bfloat16), jnp.eye(2)
    mixed, _ = apply_mix(parse_mix(["mixup(1.0)"]), images, targets, seed=0, step=jnp.asarray(1))
    assert mixed.dtype == jnp.float32
    np.testing.assert_allclose(mixed, 3, rtol=1e-6)
