import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from archive_writers import write_idx

from cnn_jax.data import DataError, load_dataset
from cnn_jax.data.sets.idx import read_idx
from cnn_jax.data.sets.raw import RawSplit
from cnn_jax.data.store import arrays
from cnn_jax.data.store.root import find_prepared
from cnn_jax.data.store.write import write_set


def test_failed_preparation_leaves_nothing_that_looks_finished(tmp_path):
    def breaks_off():
        yield np.zeros((2, 2, 1), np.uint8)
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"No space left on device.*--root"):
        write_set(tmp_path, "broken", "1.0.0", {"train": RawSplit(breaks_off(), [0, 0])}, (2, 2, 1), ("a",))
    assert find_prepared(tmp_path, "broken") is None
    assert [path.name for path in tmp_path.iterdir()] == [".preparing-broken.lock"]


FULL_DISK = """
import subprocess, sys
from cnn_jax.data import DataError, load_dataset
for size in sys.argv[2:]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", sys.argv[1]], check=True)
    try:
        print(len(load_dataset("digits", "train", root=sys.argv[1])))
    except DataError as error:
        print(error)
"""


def test_full_disk_is_named_whatever_was_being_written(tmp_path):
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    command = [*alone, sys.executable, "-c", FULL_DISK, tmp_path, "64", "660", "4000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    records, arrays_, enough = done.stdout.splitlines()
    assert records.startswith(f"cannot prepare digits below {tmp_path}: [Errno 28]") and "--root" in records
    assert arrays_.startswith(f"the arrays of {tmp_path}/digits/1.0.0 cannot be written: [Errno 28] No space left")
    assert enough == "1258"


def test_killed_preparation_leaves_nothing_that_looks_finished_and_the_next_succeeds(tmp_path):
    program = (
        "import sys, time, numpy as np; from pathlib import Path\n"
        "from cnn_jax.data.store.write import write_set; from cnn_jax.data.sets.raw import RawSplit\n"
        "def images():\n"
        "    for i in range(50):\n"
        "        if i == 25: print('half', file=sys.stderr, flush=True); time.sleep(60)\n"
        "        yield np.zeros((2, 2, 1), np.uint8)\n"
        "write_set(Path(sys.argv[1]), 'half', '1.0.0', {'train': RawSplit(images(), [0] * 50)}, (2, 2, 1), ('a',))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    assert child.stderr.readline() == "half\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stderr.close()
    assert find_prepared(tmp_path, "half") is None
    write_set(
        tmp_path, "half", "1.0.0", {"train": RawSplit(np.ones((3, 2, 2, 1), np.uint8), [0, 0, 0])}, (2, 2, 1), ("a",)
    )
    assert find_prepared(tmp_path, "half") == tmp_path / "half" / "1.0.0"
    assert not list(tmp_path.glob(".preparing-half/*"))


@pytest.mark.slow
def test_two_preparations_at_once_give_one_set(tmp_path):
    program = "from cnn_jax.data import load_dataset; print(len(load_dataset('digits', 'train')))"
    environment = os.environ | {"CNN_JAX_DATA": str(tmp_path)}
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in "ab"
    ]
    assert [process.communicate(timeout=120)[0] for process in both] == ["1258\n", "1258\n"]


def test_label_out_of_range_is_named(tmp_path):
    with pytest.raises(DataError, match="example 1 of train has the label 3, but there are only 2 classes"):
        write_set(
            tmp_path,
            "labels",
            "1.0.0",
            {"train": RawSplit(np.zeros((2, 2, 2, 1), np.uint8), [0, 3])},
            (2, 2, 1),
            ("a", "b"),
        )


def test_find_prepared_takes_the_newest_version(tmp_path):
    for version in ("1.9.0", "1.10.0", "note", "2.0.0"):
        (tmp_path / "set" / version).mkdir(parents=True)
        if version != "2.0.0":  # unfinished
            (tmp_path / "set" / version / "dataset_info.json").touch()
    assert find_prepared(tmp_path, "set").name == "1.10.0"


def test_arrays_are_mapped_not_copied(digits_root):
    images = load_dataset("digits", "train", root=digits_root)._images
    assert isinstance(images, np.memmap)


@pytest.mark.parametrize("text", ['{"class_names": [], "layout": "of 0.0"}', '{"layout": 0}'])
def test_arrays_of_another_version_are_made_anew(digits_root, tmp_path, text):
    shutil.copytree(digits_root / "digits", tmp_path / "digits")
    info = tmp_path / "digits" / "1.0.0" / "arrays" / "info.json"
    info.write_text(text)
    left, right = (load_dataset("digits", "test", root=root) for root in (digits_root, tmp_path))
    np.testing.assert_array_equal(left.images(np.arange(50)), right.images(np.arange(50)))
    assert left.info == right.info and arrays.read_arrays_info(info.parents[1]) is not None
    assert not list(info.parents[1].glob("arrays.*"))


@pytest.mark.parametrize("text", ['{"class_names": [], "mean": [], "std": []}', '{"layout": 1', "[]"])
def test_a_description_of_arrays_that_is_none_is_refused(digits_root, tmp_path, text):
    shutil.copytree(digits_root / "digits", tmp_path / "digits")
    (tmp_path / "digits" / "1.0.0" / "arrays" / "info.json").write_text(text)
    with pytest.raises(DataError, match=r"info.json` is damaged. Remove the folder"):
        load_dataset("digits", "test", root=tmp_path)


def test_set_in_a_folder_that_cannot_be_written_is_still_read(digits_root, tmp_path, monkeypatch):
    shutil.copytree(digits_root / "digits", tmp_path / "digits", ignore=shutil.ignore_patterns("arrays"))

    real = arrays.tempfile.mkdtemp

    def refuse(suffix=None, prefix=None, dir=None):
        if dir is not None and tmp_path in Path(dir).parents:
            raise PermissionError(13, "Permission denied", str(dir))
        return real(suffix, prefix, dir)

    monkeypatch.setattr(arrays.tempfile, "mkdtemp", refuse)
    left, right = (load_dataset("digits", "test", root=root) for root in (digits_root, tmp_path))
    np.testing.assert_array_equal(left.images(np.arange(50)), right.images(np.arange(50)))
    assert not (tmp_path / "digits" / "1.0.0" / "arrays").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "cannot be read as an IDX file"),
        (lambda path: path.write_bytes(b""), "is not an IDX file"),
        (lambda path: path.write_bytes(b"\x89PNG...."), "is not an IDX file"),
        (lambda path: write_float_idx(path), "IDX type 0x0d"),
        (lambda path: write_short_idx(path), r"header announces \(5, 2\), but 3 bytes follow"),
        (lambda path: path.unlink(), "cannot be read as an IDX file"),
    ],
    ids=["half-downloaded", "empty", "png", "floats", "short", "missing"],
)
def test_damaged_idx_file_is_named(tmp_path, damage, message):
    path = tmp_path / "train images.gz"
    write_idx(path, np.arange(200, dtype=np.uint8))
    damage(path)
    with pytest.raises(DataError, match=f"train images.gz {message}|train images.gz .*{message}"):
        read_idx(path)


def write_float_idx(path):
    path.write_bytes(bytes([0, 0, 13, 1, 0, 0, 0, 1]) + bytes(4))


def write_short_idx(path):
    path.write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 5, 0, 0, 0, 2]) + bytes(3))


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (0,)])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_file_gives_what_was_written(tmp_path, shape, suffix):
    content = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    write_idx(tmp_path / f"file{suffix}", content)
    np.testing.assert_array_equal(read_idx(tmp_path / f"file{suffix}"), content)
