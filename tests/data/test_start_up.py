"""What starting costs: time to the first batch and memory, on 60,000 prepared images, in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from cnn_jax.data import DataError, load_dataset
from cnn_jax.data.sets.class_names import DIGITS

PROGRAM = """
import json, sys, time
from cnn_jax.data import load_dataset, train_batches
import cnn_jax.data.batches, cnn_jax.data.load
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before, begin = resident(), time.perf_counter()
data = load_dataset("mnist", "train", root=sys.argv[1], validation_fraction=0)
batches = train_batches(data, 128, seed=0, start=int(sys.argv[2]))
next(batches)
seconds = time.perf_counter() - begin
for _ in range(469):  # see every image, so that all of them are resident
    next(batches)
heavy = [name for name in ("tensorflow", "tensorflow_datasets", "jax") if name in sys.modules]
print(json.dumps({"seconds": seconds, "resident": resident() - before, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """What preparing MNIST leaves that a start reads, with random pixels: writing 60,000 records takes too long."""
    root = tmp_path_factory.mktemp("start")
    arrays = root / "mnist" / "1.0.0" / "arrays"
    arrays.mkdir(parents=True)
    (arrays.parent / "dataset_info.json").touch()
    random = np.random.default_rng(0)
    np.save(arrays / "train_images.npy", random.integers(0, 256, (60_000, 28, 28, 1), np.uint8))
    np.save(arrays / "train_labels.npy", random.integers(0, 10, 60_000, np.int32))
    info = {"layout": 1, "class_names": DIGITS, "mean": [0.1307], "std": [0.3081], "splits": {"train": 60_000}}
    (arrays / "info.json").write_text(json.dumps(info))
    return root


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("start", [0, 50 * 469], ids=["from the beginning", "at epoch 50"])
def test_first_batch_comes_within_a_second_and_little_more_memory_than_the_pixels(prepared, start):
    words = [sys.executable, "-c", PROGRAM, str(prepared), str(start)]
    result = json.loads(subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert result["seconds"] < 1
    assert result["resident"] < 1.3 * 60_000 * 28 * 28
    assert result["heavy"] == []


def test_split_that_is_not_stored_is_named(prepared):
    with pytest.raises(DataError, match="stores the splits train, not 'test'"):
        load_dataset("mnist", "test", root=prepared)
