"""Checkpoints: what comes back, what is kept, and what happens to damaged ones."""

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from cnn_jax.config import ConfigError
from cnn_jax.runs.folder.checkpoint import CheckpointError, Checkpoints
from cnn_jax.runs.folder.checksum import checksum
from cnn_jax.runs.folder.damage import DamagedError, ForeignError, StructureError, UnreadableError
from cnn_jax.runs.folder.paths import check_path

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


def test_when_all_are_damaged_nothing_is_moved_and_the_refusal_is_repeated(three):
    for step in (1, 2, 3):
        data_files(three, step)[0].unlink()
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"none of the checkpoints \[1, 2, 3\] .* nothing was changed"):
            Checkpoints(three / "checkpoints").restore_newest(TARGET)
    assert not (three / "damaged").exists()
    assert Checkpoints(three / "checkpoints", read_only=True).steps == [1, 2, 3]


def test_a_read_error_is_no_damage(three, monkeypatch):
    real, left = ocp.CheckpointManager.restore, [1]

    def restore(self, *args, **options):
        if left:
            left.pop()
            raise OSError(errno.EIO, os.strerror(errno.EIO), "/disk")
        return real(self, *args, **options)

    monkeypatch.setattr(ocp.CheckpointManager, "restore", restore)
    with pytest.raises(UnreadableError, match=r"/disk cannot be read: Input/output error.*nothing was changed"):
        Checkpoints(three / "checkpoints").restore_newest(TARGET)
    assert not (three / "damaged").exists()
    assert Checkpoints(three / "checkpoints").restore_newest(TARGET)[0] == 3


@pytest.mark.parametrize(
    "message",
    [
        "PERMISSION_DENIED: Error reading",
        "RESOURCE_EXHAUSTED: out of memory",
        "INTERNAL: [OS error 5: Input/output error]",
    ],
)
def test_tensorstores_passing_failures_are_no_damage(three, monkeypatch, message):
    def restore(self, *args, **options):
        raise ValueError(message)

    monkeypatch.setattr(ocp.CheckpointManager, "restore", restore)
    with pytest.raises(UnreadableError, match="cannot be read"):
        Checkpoints(three / "checkpoints").restore_newest(TARGET)


def test_a_file_that_the_disk_does_not_give_is_no_damage(three, monkeypatch):
    # Orbax's exception is of another kind; only reading the files again tells the cause.
    bad = data_files(three, 3)[0]
    real = Path.open

    def fails(self, *args, **options):
        if self == bad:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(self))
        return real(self, *args, **options)

    def restore(self, *args, **options):
        raise ValueError("cannot decode")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", restore)
    monkeypatch.setattr(Path, "open", fails)
    with pytest.raises(UnreadableError, match=f"{bad.name} cannot be read: Stale file handle"):
        Checkpoints(three / "checkpoints").restore_newest(TARGET)


@pytest.mark.parametrize("kernel", [(64, 65), (32, 64)])
def test_another_structure_is_named_with_both_shapes(three, kernel):
    target = TARGET | {"kernel": jax.ShapeDtypeStruct(kernel, jnp.float32)}
    with pytest.raises(StructureError, match=rf"kernel has the shape \(64, 64\) .* \({kernel[0]}, {kernel[1]}\)"):
        Checkpoints(three / "checkpoints").restore_newest(target)
    assert not (three / "damaged").exists()


def test_another_dtype_is_named(three):
    target = TARGET | {"half": jax.ShapeDtypeStruct((64,), jnp.float32)}
    with pytest.raises(StructureError, match="half is bfloat16 in the checkpoint and float32 in the run"):
        Checkpoints(three / "checkpoints").restore_newest(target)


@pytest.mark.parametrize("extra", ["more", "less"])
def test_missing_and_additional_leaves_are_named(three, extra):
    target = dict(TARGET)
    if extra == "more":
        target["new"] = jax.ShapeDtypeStruct((), jnp.float32)
    else:
        del target["kernel"]
    match = "only the run, not the checkpoint, has new" if extra == "more" else "only the checkpoint, not the run, has"
    with pytest.raises(StructureError, match=match):
        Checkpoints(three / "checkpoints").restore_newest(target)


def test_a_renamed_checkpoint_is_refused_and_not_moved(three):
    (three / "checkpoints" / "3").rename(three / "checkpoints" / "8")
    checkpoints = Checkpoints(three / "checkpoints")
    for _ in range(2):
        with pytest.raises(ForeignError, match="saved at step 3, not 8"):
            checkpoints.restore_newest(TARGET)
    assert checkpoints.steps == [1, 2, 8]


def test_a_checkpoint_of_another_experiment_is_refused(tmp_path):
    for name in ("a", "b"):
        checkpoints = Checkpoints(tmp_path / name / "checkpoints", identity=name)
        checkpoints.save(1, TREE)
        checkpoints.close()
    shutil.rmtree(tmp_path / "a" / "checkpoints" / "1")
    shutil.copytree(tmp_path / "b" / "checkpoints" / "1", tmp_path / "a" / "checkpoints" / "1")
    with pytest.raises(ForeignError, match="belongs to another experiment"):
        Checkpoints(tmp_path / "a" / "checkpoints", identity="a").restore_newest(TARGET)
    assert Checkpoints(tmp_path / "a" / "checkpoints").restore(1, TARGET)["step"] == 7  # asked for without an identity


def test_a_damaged_manifest_is_damage(three):
    path = three / "checkpoints" / "3" / "checksum" / "metadata"
    text = path.read_text()
    for damaged in (text.replace('"step": 3', '"step": 2'), text[:-5], "\0" + text[1:], "[]"):
        path.write_text(damaged)
        with pytest.raises(DamagedError, match=r"checkpoint 3 in .* is damaged"):
            Checkpoints(three / "checkpoints").restore(3, TARGET)


def as_0_1_wrote_it(folder):
    """Leaves of a manifest the checksums alone, in a list."""
    path = folder / "checksum" / "metadata"
    path.write_text(json.dumps(json.loads(path.read_text())["sums"]))


def test_checkpoints_of_0_1_are_read_and_checked(three):
    for step in (1, 2, 3):
        as_0_1_wrote_it(three / "checkpoints" / str(step))
    checkpoints = Checkpoints(three / "checkpoints", identity="any")
    step, tree = checkpoints.restore_newest(TARGET)
    assert step == 3
    assert_trees_equal(tree, scaled(3))
    with pytest.raises(StructureError, match="half is bfloat16 in the checkpoint and float32 in the run"):
        checkpoints.restore(2, TARGET | {"half": jax.ShapeDtypeStruct((64,), jnp.float32)})


@flax.struct.dataclass
class State:
    """As the state was in 0.1."""

    step: jax.Array
    batch_stats: dict
    ema: dict | None


@flax.struct.dataclass
class NewState(State):
    """With a field that has come since."""

    ema_batch_stats: dict | None = None


@pytest.mark.parametrize("averaged", [True, False])
def test_what_0_1_did_not_save_is_filled_in_and_said(tmp_path, averaged):
    stats = {"mean": jnp.arange(4.0)}
    old = State(jnp.int32(3), stats, {"w": jnp.ones(2)} if averaged else None)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(3, {"state": old, "window": jnp.zeros(2)})
    checkpoints.wait()
    as_0_1_wrote_it(tmp_path / "checkpoints" / "3")
    new = NewState(old.step, stats, old.ema, {"mean": jnp.zeros(4)} if averaged else None)
    target = jax.eval_shape(lambda: {"state": new, "window": jnp.zeros(2)})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        state = checkpoints.restore(3, target)["state"]
    assert [
        str(w.message) for w in said if "no BatchNorm statistics of its own" in str(w.message)
    ] != [] or not averaged
    assert isinstance(state, NewState)
    if averaged:
        np.testing.assert_array_equal(state.ema_batch_stats["mean"], stats["mean"])
        assert (
            state.ema_batch_stats["mean"].unsafe_buffer_pointer() != state.batch_stats["mean"].unsafe_buffer_pointer()
        )
    else:
        assert state.ema_batch_stats is None


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step, top1 in [(1, 0.5), (2, 0.9), (3, 0.9), (4, 0.7), (5, None), (6, 0.1)]:
        checkpoints.save(step, TREE, top1=top1)
    checkpoints.close()
    reopened = Checkpoints(tmp_path / "checkpoints", keep=2, read_only=True)
    assert reopened.steps == [3, 5, 6]
    assert reopened.best_step == 3


def test_another_number_in_orbaxs_metrics_decides_nothing_and_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    for step, top1 in [(1, 0.9), (2, 0.5), (3, 0.7)]:
        checkpoints.save(step, TREE, top1=top1)
    checkpoints.close()
    for content in ('{"top1": 0.99}', '{\0"top1": 0.5}', "", '{"top2": 1}'):
        (tmp_path / "checkpoints" / "2" / "metrics" / "metrics").write_text(content)
        with pytest.warns(UserWarning, match=r"2/metrics/metrics .* it was 0.5, which is used"):
            assert Checkpoints(tmp_path / "checkpoints", read_only=True).best_step == 1


def test_a_0_1_checkpoint_takes_its_top1_from_the_metrics(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=3)
    for step, top1 in [(1, 0.9), (2, 0.5)]:
        checkpoints.save(step, TREE, top1=top1)
        checkpoints.wait()
        as_0_1_wrote_it(tmp_path / "checkpoints" / str(step))
    checkpoints.close()
    assert Checkpoints(tmp_path / "checkpoints", read_only=True).best_step == 1
    file = tmp_path / "checkpoints" / "2" / "metrics" / "metrics"
    file.write_text("{")
    with pytest.raises(CheckpointError, match=r"2/metrics/metrics is damaged .* best checkpoint is not known"):
        _ = Checkpoints(tmp_path / "checkpoints", read_only=True).best_step
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "split": "validation", "top1": 0.5}\n')
    with pytest.warns(UserWarning, match="2/metrics/metrics is damaged"):
        assert Checkpoints(tmp_path / "checkpoints", read_only=True).best_step == 1
    file.write_text('{"top1": 0.95}')
    with pytest.warns(UserWarning, match="2/metrics/metrics says 0.95; it was 0.5"):
        assert Checkpoints(tmp_path / "checkpoints", read_only=True).best_step == 1


def test_a_checkpoint_that_cannot_be_judged_is_not_deleted(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    checkpoints.save(1, TREE, top1=0.1)
    checkpoints.close()
    for name in ("checksum/metadata", "metrics/metrics"):
        (tmp_path / "checkpoints" / "1" / name).write_text("?")
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    checkpoints.save(2, TREE, top1=0.9)
    checkpoints.close()
    assert checkpoints.steps == [1, 2]


@pytest.mark.parametrize("name", ["a[b", "x\\y", "x**y", "gs:", "x\udcffy"])
def test_a_path_that_would_be_misread_is_refused_at_once(tmp_path, name):
    with pytest.raises(ConfigError, match="otherwise than the file system does"):
        check_path(tmp_path / name / "run")
    with pytest.raises(ConfigError, match="otherwise than the file system does"):
        Checkpoints(tmp_path / name / "checkpoints")


@pytest.mark.parametrize("name", ["a]b", "x*y?", " %20{a,b}'\"$&#:;=~", "line\nbreak", "ü日本", "file:", "n" * 200])
def test_other_paths_work(tmp_path, name):
    with_odd_name = Checkpoints(tmp_path / name / "checkpoints")
    with_odd_name.save(1, TREE)
    with_odd_name.close()
    assert_trees_equal(Checkpoints(tmp_path / name / "checkpoints", read_only=True).restore(1, TARGET), TREE)


FAILS = """
import pathlib, sys, time, jax.numpy as jnp
from cnn_jax.runs.folder.checkpoint import Checkpoints
folder = pathlib.Path(sys.argv[1]) / "checkpoints"
checkpoints = Checkpoints(folder)
checkpoints.save(1, {"x": jnp.ones(9)})
checkpoints.wait()
folder.rename(folder.with_name("gone"))
folder.write_text("no folder can be made in a file")
checkpoints.save(2, {"x": jnp.ones(9)})
try:
    for _ in range(1000):
        checkpoints.poll()
        time.sleep(0.01)
finally:
    checkpoints.close()
"""


def test_a_failing_save_is_noticed_without_another_and_the_process_ends(tmp_path):
    # Orbax's own threads would take 300 s.
    done = subprocess.run([sys.executable, "-c", FAILS, tmp_path], capture_output=True, text=True, timeout=250)
    assert done.returncode == 1
    assert "checkpoint" in done.stderr and "could not be saved: [Errno 20] Not a directory" in done.stderr


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
