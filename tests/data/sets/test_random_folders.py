"""Folders with everything that people's folders hold: what is kept and what is listed add up to what lies there."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import DataError
from cnn_jax.data.sets.image_folder import note_passed_over, scan_folder
from cnn_jax.data.sets.walk import find_images, shown
from cnn_jax.data.store.prepare import prepare

NAMES = ("cat", "a dog", "새", "line\nbreak", "-x", "[b]old[/b]", "tab\there", "quote'\"", "ü.jpg", " space ")


def picture(random, form, mode="RGB", **options):
    buffer, side = io.BytesIO(), int(random.integers(4, 20))
    image = Image.fromarray(random.integers(0, 256, (side, side + 3, 3), np.uint8))
    image.convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def any_file(random):
    """A name, and what is in it."""
    kind = int(random.integers(12))
    stem = f"{random.choice(['0', '사진', 'a b', 'x%d', '{y}'])}{random.integers(10**6)}"
    forms = [
        (".png", lambda: picture(random, "PNG")),
        (".JPG", lambda: picture(random, "JPEG")),
        (".jfif", lambda: picture(random, "JPEG")),
        ("", lambda: picture(random, "PNG", random.choice(["1", "L", "P", "LA", "RGBA"]))),
        (".dat", lambda: picture(random, "WEBP")),
        (".tif", lambda: picture(random, "TIFF", "CMYK")),
        (".txt", lambda: b"not an image"),
        (".json", lambda: b"{}"),
        (".jpeg", lambda: picture(random, "JPEG")[:200]),
        (".png", lambda: b""),
        (".heic", lambda: b"\0\0\0\x18ftypheic"),
        (".db", lambda: bytes(random.integers(0, 256, 50, np.uint8))),
    ]
    suffix, content = forms[kind]
    return ("._" if random.random() < 0.1 else "") + stem + suffix, content()


def make(root, random):
    """Class folders with files, hidden folders, folders within folders, links, pipes."""
    for name in random.choice(NAMES, int(random.integers(2, 5)), replace=False):
        for place in ("", "more", "more/deeper", ".hidden"):
            if place and random.random() < 0.5:
                continue
            folder = root / str(name) / place
            folder.mkdir(parents=True, exist_ok=True)
            for _ in range(int(random.integers(1, 5))):
                file, content = any_file(random)
                (folder / file).write_bytes(content)
            if random.random() < 0.2:
                os.mkfifo(folder / "pipe.png")
            if random.random() < 0.2:
                (folder / "gone.png").symlink_to("nothing")
            if random.random() < 0.2:
                (folder / "back").symlink_to(root / str(name))
        for number in range(3):
            (root / str(name) / f"good {number}.png").write_bytes(picture(random, "PNG"))
    (root / "README.md").write_text("about these")


def all_paths(root):
    """Every file below a folder; a link to a folder is one, too, since it leads back."""
    for place, folders, files in os.walk(root):
        yield from (os.path.join(place, name) for name in files)
        yield from (os.path.join(place, name) for name in folders if os.path.islink(os.path.join(place, name)))


@pytest.mark.parametrize("seed", range(40))
def test_every_file_is_read_named_as_a_fault_or_passed_over(tmp_path, seed):
    root = tmp_path / "root"
    make(root, np.random.default_rng(seed))
    index = scan_folder(root)
    kept = [shown(root / path) for files in index.files.values() for path, _ in files]
    listed = [shown(path) for path, _ in index.faults] + [path for path, _ in note_passed_over(index.passed_over)]
    assert sorted(kept + listed) == sorted(map(shown, all_paths(root)))
    for files in index.files.values():
        assert all(index.class_names[label] == path.parts[0] for path, label in files)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_stored_and_what_is_listed_add_up(tmp_path, seed):
    root = tmp_path / "root"
    make(root, np.random.default_rng(seed))
    folder = prepare("folder", source=root, root=tmp_path / "stored", on_error="skip")
    stored = sum(json.loads((folder / "arrays" / "info.json").read_text())["splits"].values())
    listed = [json.loads((folder / name).read_text()) for name in ("skipped.json", "passed_over.json")]
    assert stored + sum(map(len, listed)) == len(list(all_paths(root)))


def test_names_that_are_no_utf8_are_read_and_shown_with_escapes(tmp_path):
    for name in (b"caf\xe9", b"th\xe9"):
        place = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(place)
        for i in range(3):
            with open(os.path.join(place, b"\xff%d.png" % i), "wb") as file:
                file.write(picture(np.random.default_rng(i), "PNG"))
    index = scan_folder(tmp_path)
    assert index.class_names == (r"caf\xe9", r"th\xe9") and sum(map(len, index.files.values())) == 6


def fill(*folders, count=3):
    for folder in folders:
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"{i}.png").write_bytes(picture(np.random.default_rng(i), "PNG"))


def test_class_named_train_is_a_class(tmp_path):
    fill(tmp_path / "bus", tmp_path / "car", tmp_path / "train")
    assert scan_folder(tmp_path).class_names == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["Train/cat", "Train/dog", "Test/cat", "Test/dog"], "but no train: splits are named train"),
        (["training/cat", "testing/cat"], "but no train"),
        (["test/cat", "val/cat"], "but no train"),
        (["train", "test"], "train holds no class folders"),
        (["cat", "dog", "test/cat"], "where it is a split"),
        (["train/cat", "train/dog", "val/cat", "validation/cat"], "both validation and val for one split"),
        (["train_set/x", "train_set/y", "test_set/x", "test_set/y"], "but no train: splits are named train"),
        (["train2017", "val2017"], "but no train"),
        (["part one/x", "part one/y", "part two/x", "part two/z"], r"folders of the same names \(x\): where they are"),
        (["train/x", "train/y", "Val/x"], "holds Val beside train"),
        (["train/x", "train/y", "testing/x"], "holds testing beside train"),
        (["train/x", "train/y", "val/x", "Train/x"], "holds Train beside train"),
    ],
)
def test_layout_that_would_take_a_split_for_a_class_is_refused(tmp_path, folders, message):
    fill(*(tmp_path / folder for folder in folders))
    with pytest.raises(DataError, match=message):
        scan_folder(tmp_path)


@pytest.mark.parametrize(
    "folders",
    [
        ["cat/front", "dog/side"],  # images of a class in further folders
        ["cat", "cat/more", "dog/more"],
        ["test tube", "tests", "valley", "trainer"],
        ["cat/front"],
    ],
)
def test_classes_that_could_be_no_splits_stay_classes(tmp_path, folders):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for i in range(5):
            (tmp_path / folder / f"{i}.png").write_bytes(picture(np.random.default_rng(i), "PNG"))
    assert scan_folder(tmp_path).class_names == tuple(sorted({folder.split("/")[0] for folder in folders}))


def test_train_that_could_be_both_is_refused(tmp_path):
    fill(tmp_path / "train" / "cat", tmp_path / "car")
    (tmp_path / "train" / "x.png").write_bytes(picture(np.random.default_rng(0), "PNG"))
    with pytest.raises(DataError, match="could be a split or a class"):
        scan_folder(tmp_path)


def test_rare_classes_keep_their_image_for_training(tmp_path):
    fill(*(tmp_path / f"rare{i}" for i in range(5)), count=1)
    fill(tmp_path / "z", count=20)
    index = scan_folder(tmp_path)
    assert {label for _, label in index.files["train"]} == set(range(6)) and len(index.files["test"]) > 0


def test_one_image_a_class_is_refused_in_plain_words(tmp_path):
    fill(tmp_path / "a", tmp_path / "b", count=1)
    with pytest.raises(DataError, match="2 images, too few to keep some of them for the test"):
        scan_folder(tmp_path)


def test_class_that_is_tested_only_is_said(tmp_path, caplog):
    fill(tmp_path / "in/train/a", tmp_path / "in/train/b", tmp_path / "in/test/a", tmp_path / "in/test/b")
    for path in (tmp_path / "in/train/b").iterdir():
        path.write_bytes(b"damaged")
    prepare("folder", source=tmp_path / "in", root=tmp_path / "root", on_error="skip")
    assert "test holds images of b, of which train holds none" in caplog.text


def test_split_without_a_good_image_is_refused(tmp_path):
    fill(tmp_path / "in/train/a", tmp_path / "in/train/b", tmp_path / "in/test/a")
    for path in (tmp_path / "in/test/a").iterdir():
        path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="no image of test can be used"):
        prepare("folder", source=tmp_path / "in", root=tmp_path / "root", on_error="skip")


def test_raw_photographs_are_faults_and_not_read_as_their_previews(tmp_path):
    (tmp_path / "a.nef").write_bytes(picture(np.random.default_rng(0), "TIFF"))
    (fault,) = find_images(tmp_path).faults
    assert "a.nef is a picture that is not read" in fault[1]
