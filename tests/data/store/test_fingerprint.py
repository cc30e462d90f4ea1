import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import UnpreparedError, fingerprint, is_fingerprinted, load_dataset, prepare
from cnn_jax.data.decoding.host_crop import resize
from cnn_jax.data.sets.raw import RawSplit
from cnn_jax.data.store import fingerprint as made
from cnn_jax.data.store.fingerprint import KEPT, stored_fingerprint
from cnn_jax.data.store.root import find_prepared
from cnn_jax.data.store.write import write_set

# In the identity of every run on the digits.
DIGITS = {
    "train": "223b3ddff5877605f2328b8469464f476e55d6f986feb6a361c17e317954c427",
    "validation": "df80ca1de66cb6ea47f77e44154ab2a87766d3f7d05a57fc0b69355eacba6ae6",
    "test": "b0ae55c368a5a5837d86901bf3ab117ba48a2522b05d1fa5894ab1b222e2b72f",
    "class_names": "14a21a638a550aa3e57c4c8d12522cd74276f9c3191a8ea0644c9e31bcd14b37",
}


def sha256(*parts):
    return hashlib.sha256(b"".join(parts))


def numbers(*labels):
    return np.array(labels, "<i4").tobytes()


@pytest.fixture
def digits(digits_root, tmp_path, monkeypatch):
    """A root of our own with the digits, and their prepared folder; and a user's cache of our own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(digits_root, tmp_path / "root")
    return tmp_path / "root", find_prepared(tmp_path / "root", "digits")


@pytest.fixture
def reads(monkeypatch):
    """The splits that were read through, in their order."""
    found = []
    digest = made._digest_split
    monkeypatch.setattr(made, "_digest_split", lambda *a: found.append(a[1]) or digest(*a))
    return found


@pytest.fixture
def folder(tmp_path):
    """A folder of images of two formats and sizes: train and test, two classes."""
    random = np.random.default_rng(0)
    for split, suffix in (("train", "png"), ("test", "jpg")):
        for name in ("cat", "dog"):
            place = tmp_path / "images" / split / name
            place.mkdir(parents=True)
            for i, side in enumerate((8, 11, 9)):
                pixels = random.integers(0, 256, (side, side + 1, 3), np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.{suffix}")
    return tmp_path / "images"


def test_the_digits_are_the_same_for_ever(digits):
    assert fingerprint("digits", root=digits[0]) == DIGITS


def test_arrays_count_by_shape_bytes_and_labels(tmp_path):
    images = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5, 1)
    splits = {"train": RawSplit(images, [1, 0]), "test": RawSplit(images[:1], [1])}
    place = write_set(tmp_path, "small", "1.0.0", splits, (3, 5, 1), ("no", "yes"))
    found = stored_fingerprint(place)
    assert (
        found.splits["train"] == sha256(sha256(b"(2, 3, 5, 1)", images.tobytes()).digest(), numbers(1, 0)).hexdigest()
    )
    assert found.class_names == sha256(b'["no", "yes"]').hexdigest()


def test_image_files_count_by_their_bytes_and_not_by_pixels(tmp_path, folder):
    found = fingerprint("folder", folder=folder, root=tmp_path)
    content = hashlib.sha256()
    for path in sorted((folder / "train").rglob("*.png")):
        content.update(path.stat().st_size.to_bytes(8, "little") + path.read_bytes())
    assert found["train"] == sha256(content.digest(), numbers(0, 0, 0, 1, 1, 1)).hexdigest()
    assert set(found) == {"train", "test", "class_names"}
    path = folder / "train" / "cat" / "0.png"
    pixels = np.asarray(Image.open(path))
    Image.fromarray(pixels).save(path, compress_level=1)
    again = fingerprint("folder", folder=folder, root=tmp_path)
    assert again["train"] != found["train"] and again["test"] == found["test"]


def test_the_name_of_a_class_counts_apart(tmp_path, folder):
    before = fingerprint("folder", folder=folder, root=tmp_path)
    for split in ("train", "test"):
        (folder / split / "dog").rename(folder / split / "cow-like")
    after = fingerprint("folder", folder=folder, root=tmp_path)
    assert [key for key in before if before[key] != after[key]] == ["class_names"]


def test_it_is_made_when_the_set_is_prepared_and_then_kept(tmp_path, reads):
    prepare("digits", root=tmp_path)
    assert sorted(reads) == ["test", "train", "validation"]
    assert fingerprint("digits", root=tmp_path) == DIGITS and len(reads) == 3


def test_a_set_prepared_before_gets_one_at_its_first_use(digits, reads):
    (digits[1] / KEPT).unlink()
    assert fingerprint("digits", root=digits[0]) == DIGITS and len(reads) == 3
    assert fingerprint("digits", root=digits[0]) == DIGITS and len(reads) == 3


def test_where_the_root_is_read_only_it_is_kept_in_the_users_cache(digits, reads, monkeypatch, tmp_path):
    (digits[1] / KEPT).unlink()
    real = tempfile.mkstemp

    def mkstemp(dir, **options):
        if dir == digits[1]:
            raise PermissionError
        return real(dir=dir, **options)

    monkeypatch.setattr(made.tempfile, "mkstemp", mkstemp)
    assert not is_fingerprinted("digits", root=digits[0])
    assert fingerprint("digits", root=digits[0]) == DIGITS and len(reads) == 3
    assert [path.suffix for path in (tmp_path / "cache/cnn_jax/fingerprints").iterdir()] == [".json"]
    assert is_fingerprinted("digits", root=digits[0])
    assert fingerprint("digits", root=digits[0]) == DIGITS and len(reads) == 3
    os.utime(digits[1] / "arrays" / "train_images.npy", ns=(0, 1))
    assert not is_fingerprinted("digits", root=digits[0])


def test_a_set_that_is_not_prepared_has_none(tmp_path):
    assert not is_fingerprinted("mnist", root=tmp_path)


def test_edited_labels_of_the_same_size_are_seen(digits):
    for path in digits[1].glob("arrays/*_labels.npy"):
        np.save(path, (np.load(path) + 1) % 10)
    (digits[1] / "arrays" / "checksums.json").unlink(missing_ok=True)  # or they were damaged, not edited
    found = fingerprint("digits", root=digits[0])
    assert {key for key in DIGITS if DIGITS[key] != found[key]} == {"train", "validation", "test"}


def test_a_copy_of_the_set_has_the_same(digits, tmp_path, reads):
    shutil.copytree(digits[0], tmp_path / "copy", copy_function=shutil.copy)  # with other times
    assert fingerprint("digits", root=tmp_path / "copy") == DIGITS and len(reads) == 3


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "no JSON": lambda path: path.write_bytes(b"\x00\xff"),
    "empty": lambda path: path.write_bytes(b""),
    "a list": lambda path: path.write_text("[]"),
    "another digest": lambda path: edit(path, lambda c: c["splits"].update(train="0" * 64)),
    "a digest too few": lambda path: edit(path, lambda c: c["splits"].pop("train")),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_made_again(digits, reads, damage):
    damage(digits[1] / KEPT)
    assert fingerprint("digits", root=digits[0]) == DIGITS and len(reads) == 3


READ_ONLY = """
import subprocess, sys
from cnn_jax.data import fingerprint
root = sys.argv[1]
subprocess.run(["mount", "--bind", root, root], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
print(fingerprint("digits", root=root)["train"])
"""


@pytest.mark.parametrize("arrays", [True, False], ids=["arrays are there", "records alone"])
def test_a_read_only_root_works(digits, arrays):
    (digits[1] / KEPT).unlink()
    if not arrays:
        shutil.rmtree(digits[1] / "arrays")
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    command = [*alone, sys.executable, "-c", READ_ONLY, digits[0]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == DIGITS["train"], done.stderr
    assert not (digits[1] / KEPT).exists()


def test_a_set_that_is_not_prepared_is_refused(tmp_path):
    with pytest.raises(UnpreparedError, match="cnn-jax data prepare mnist"):
        fingerprint("mnist", root=tmp_path)


def test_a_fold_counts_by_its_rows(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 96, 96, 3), np.uint8)
    splits = {"train": RawSplit(images, [0, 1] * 3), "test": RawSplit(images[:2], [0, 1])}
    folds = json.dumps({"0": [0, 1, 2], "fold0": [0, 1, 2], "fold1": [3, 4, 5]})
    names = tuple("abcdefghij")
    write_set(tmp_path, "stl10", "1.0.0", splits, (96, 96, 3), names, extras=lambda: {"folds.json": folds})
    whole, first, second = (fingerprint(f"stl10{fold}", root=tmp_path) for fold in ("", "/fold0", "/fold1"))
    assert len({found["train"] for found in (whole, first, second)}) == 3
    assert whole["test"] == first["test"] == second["test"]


def test_large_sets_are_read_piece_by_piece_and_tell_how_far(tmp_path, monkeypatch):
    images = np.zeros((64, 128, 128, 1), np.uint8)  # 1 MB
    place = write_set(tmp_path, "large", "1.0.0", {"train": RawSplit(images, [0] * 64)}, (128, 128, 1), ("a", "b"))
    made.load_arrays(place, "train")
    monkeypatch.setattr(made, "_CHUNK_BYTES", 100_000)
    seen = []
    tracemalloc.start()
    stored_fingerprint(place, lambda *told: seen.append(told))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e5
    assert seen[-1] == ("train", 64, 64) and len(seen) == 11


def test_it_says_how_far_it_is_after_a_while_only(digits, capsys, monkeypatch):
    (digits[1] / KEPT).unlink()
    fingerprint("digits", root=digits[0])
    assert capsys.readouterr().err == ""
    (digits[1] / KEPT).unlink()
    monkeypatch.setattr(made, "_QUIET_SECONDS", -1.0)
    fingerprint("digits", root=digits[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"reading {digits[1]} once, for its fingerprint: test 100%")


def test_the_training_set_with_a_held_out_part_counts_whole(tmp_path, folder):
    found = fingerprint("folder", folder=folder, root=tmp_path)
    load_dataset("folder", "train", folder=folder, root=tmp_path, validation_fraction=0, crop=resize(8))
    assert fingerprint("folder", folder=folder, root=tmp_path) == found


def test_time_of_change_is_compared_to_the_nanosecond(digits, reads):
    path = digits[1] / "arrays" / "train_images.npy"
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert fingerprint("digits", root=digits[0]) == DIGITS and len(reads) == 3
