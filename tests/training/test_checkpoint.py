"""Checkpoints: what comes back, what is kept, and what happens to damaged ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.training.checkpoint import CheckpointError, Checkpoints
from cnn_jax.training.checksum import checksum

TREE = {
    "kernel": jnp.linspace(-1, 1, 4096).reshape(64, 64),
    "half": jnp.arange(64, dtype=jnp.bfloat16),
    "step": jnp.int32(7),
    "nothing": None,
}
TARGET = jax.eval_shape(lambda: TREE)


def scaled(factor):
    return jax.tree.map(lambda x: x * factor, TREE)


@pytest.fixture
def three(tmp_path):
    """A folder that holds steps 1, 2 and 3, each its step times TREE."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    for step in (1, 2, 3):
        checkpoints.save(step, scaled(step))
    checkpoints.close()
    return tmp_path


def assert_trees_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def data_files(folder, step):
    """The files that hold array data of one checkpoint, the largest first."""
    files = [f for f in (folder / "checkpoints" / str(step) / "tree").rglob("*") if f.is_file() and "/d/" in str(f)]
    return sorted(files, key=lambda f: -f.stat().st_size)


def test_the_newest_comes_back_bit_for_bit(three):
    step, tree = Checkpoints(three / "checkpoints").restore_newest(TARGET)
    assert step == 3
    assert_trees_equal(tree, scaled(3))


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert Checkpoints(tmp_path / "checkpoints").restore_newest(TARGET) is None


def test_a_truncated_checkpoint_is_set_aside_and_the_one_before_used(three):
    file = data_files(three, 3)[0]
    file.write_bytes(file.read_bytes()[:20])
    with pytest.warns(UserWarning, match=r"checkpoint 3 .* moved to"):
        step, tree = Checkpoints(three / "checkpoints").restore_newest(TARGET)
    assert step == 2
    assert_trees_equal(tree, scaled(2))
    assert (three / "damaged" / "3").is_dir()


def test_an_exchanged_payload_is_detected(three):
    # What a silent corruption amounts to: valid files, other values.
    for file in data_files(three, 2):
        target = three / "checkpoints" / "3" / file.relative_to(three / "checkpoints" / "2")
        if target.exists():
            target.unlink()
    import shutil

    shutil.rmtree(three / "checkpoints" / "3" / "tree")
    shutil.copytree(three / "checkpoints" / "2" / "tree", three / "checkpoints" / "3" / "tree")
    with pytest.warns(UserWarning, match=r"checkpoint 3 .* is damaged"):
        step, _ = Checkpoints(three / "checkpoints").restore_newest(TARGET)
    assert step == 2


def test_a_missing_file_is_detected(three):
    data_files(three, 3)[0].unlink()
    with pytest.warns(UserWarning, match="checkpoint 3"):
        assert Checkpoints(three / "checkpoints").restore_newest(TARGET)[0] == 2


def test_saving_again_after_damage_replaces_the_step(three):
    data_files(three, 3)[0].unlink()
    checkpoints = Checkpoints(three / "checkpoints", keep=3)
    with pytest.warns(UserWarning, match="checkpoint 3"):
        checkpoints.restore_newest(TARGET)
    checkpoints.save(3, scaled(5))
    checkpoints.wait()
    assert_trees_equal(checkpoints.restore(3, TARGET), scaled(5))


def test_when_all_are_damaged_nothing_is_deleted_and_the_error_says_where(three):
    for step in (1, 2, 3):
        data_files(three, step)[0].unlink()
    with (
        pytest.warns(UserWarning, match="moved to"),
        pytest.raises(CheckpointError, match=r"none of the checkpoints .* Give another --workdir"),
    ):
        Checkpoints(three / "checkpoints").restore_newest(TARGET)
    assert sorted(p.name for p in (three / "damaged").iterdir()) == ["1", "2", "3"]


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step, top1 in [(1, 0.5), (2, 0.9), (3, 0.9), (4, 0.7), (5, None), (6, 0.1)]:
        checkpoints.save(step, TREE, top1=top1)
    checkpoints.close()
    reopened = Checkpoints(tmp_path / "checkpoints", keep=2, read_only=True)
    assert reopened.steps == [3, 5, 6]
    assert reopened.best_step == 3


def test_donated_arrays_are_saved_as_they_were(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    state = jnp.arange(1000.0)
    overwrite = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
    checkpoints.save(1, {"x": state})
    overwrite(state)
    checkpoints.wait()
    restored = checkpoints.restore(1, {"x": jax.ShapeDtypeStruct((1000,), jnp.float32)})
    np.testing.assert_array_equal(restored["x"], np.arange(1000.0))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32, jnp.bool_, jnp.uint8])
def test_checksum_finds_every_kind_of_change(dtype):
    x = (jnp.arange(60).reshape(3, 4, 5) % 2).astype(dtype)
    base = checksum([x]).tolist()
    assert checksum([x]).tolist() == base
    assert checksum([x.at[1, 2, 3].set(x[1, 2, 4])]).tolist() != base
    swapped = x.at[0, 0, 0].set(x[0, 0, 1]).at[0, 0, 1].set(x[0, 0, 0])
    assert checksum([swapped]).tolist() != base


def test_checksum_finds_each_single_flipped_bit():
    words = np.arange(8, dtype=np.float32)
    base = checksum([jnp.asarray(words)]).tolist()
    for bit in range(8 * 32):
        flipped = words.view(np.uint32).copy()
        flipped[bit // 32] ^= np.uint32(1 << (bit % 32))
        assert checksum([jnp.asarray(flipped.view(np.float32))]).tolist() != base, bit
