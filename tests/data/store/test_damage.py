"""Damage to a prepared set is refused with the file's name; the arrays can be made anew from the records."""

import shutil

import numpy as np
import pytest

from cnn_jax.data import DataError, load_dataset
from cnn_jax.data.store.checksums import find_damage, note_checksums


@pytest.fixture
def prepared(digits_root, tmp_path):
    shutil.copytree(digits_root / "digits", tmp_path / "digits")
    return tmp_path / "digits" / "1.0.0"


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


DAMAGE = {"flip": flip, "cut": cut, "empty": lambda path: path.write_bytes(b""), "gone": lambda path: path.unlink()}


@pytest.mark.parametrize("file", ["train_images.npy", "train_labels.npy", "info.json", "checksums.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_arrays_are_refused_and_made_anew_from_the_records(digits_root, prepared, file, damage):
    DAMAGE[damage](prepared / "arrays" / file)
    if (damage, file) != ("gone", "checksums.json"):
        with pytest.raises(DataError, match=rf"{file}` is damaged. Remove the folder `.*arrays`"):
            load_dataset("digits", "train", root=prepared.parents[1])
        shutil.rmtree(prepared / "arrays")
    again = load_dataset("digits", "train", root=prepared.parents[1])
    whole = load_dataset("digits", "train", root=digits_root)
    every = np.arange(len(whole))
    np.testing.assert_array_equal(again.images(every), whole.images(every))
    assert again.labels.tolist() == whole.labels.tolist() and again.info == whole.info
    assert find_damage(prepared / "arrays") is None


def test_arrays_without_noted_checksums_are_noted_at_first_use(prepared):
    (prepared / "arrays" / "checksums.json").unlink()
    load_dataset("digits", "train", root=prepared.parents[1])
    assert (prepared / "arrays" / "checksums.json").exists()


@pytest.mark.parametrize("file", ["features.json", "class_names.json", "label.labels.txt", "checksums.json"])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_damaged_description_is_refused_by_name(prepared, file, damage):
    DAMAGE[damage](prepared / file)
    with pytest.raises(DataError, match=f"{file} is not as it was written; remove .* and prepare the set again"):
        load_dataset("digits", "train", root=prepared.parents[1])


def test_damaged_records_are_refused_by_name_where_they_are_needed(prepared):
    flip(next(prepared.glob("*train.array_record*")))
    load_dataset("digits", "train", root=prepared.parents[1])  # from the arrays
    shutil.rmtree(prepared / "arrays")
    with pytest.raises(DataError, match=rf"the records of {prepared} cannot be read .* prepare the set again"):
        load_dataset("digits", "train", root=prepared.parents[1])


def test_file_that_changed_since_it_was_compared_is_compared_again(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"one")
    note_checksums(tmp_path, ["a"])
    assert find_damage(tmp_path) is None
    file.write_bytes(b"two!")
    assert find_damage(tmp_path) == file
