import io
import itertools
import json

import numpy as np
import pytest
from archive_writers import jpeg, write_imagenet, write_tar
from PIL import Image

from cnn_jax.data import DataError, eval_batches, load_dataset, prepare, train_batches
from cnn_jax.data.decoding import encoded
from cnn_jax.data.decoding.host_crop import random_resized_crop, resize
from cnn_jax.data.sets.class_names import IMAGENETTE, imagenet_validation_ids, imagenet_wordnet_ids
from cnn_jax.data.store.root import find_prepared

WHOLE = resize(20, 28)
CROP = random_resized_crop(16)


def assert_pixels(ours, contents):
    for image, content in zip(ours, contents, strict=True):
        reference = Image.open(io.BytesIO(content)).convert("RGB").resize((28, 20), Image.Resampling.BOX)
        assert np.abs(image.astype(int) - np.asarray(reference)).mean() < 5  # others are ten times as far off


@pytest.fixture
def pictures(tmp_path):
    """A divided folder: three classes, 12 training and 3 test images of each, under awkward names."""
    root = tmp_path / "내 그림 모음"
    for label, name in enumerate(["고양이", "a dog", "bird"]):
        for split, count in (("train", 12), ("test", 3)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"사진 {i:02}.jpg").write_bytes(jpeg(100 * label + i, 30 + i, 50 - label))
    (root / "train" / "bird" / "notes.txt").write_text("not an image")
    return root


def load(root, pictures, split="train", crop=WHOLE, **options):
    return load_dataset("folder", split, root=root, folder=pictures, crop=crop, **options)


def test_folder_holds_the_files_pixels_and_labels(tmp_path, pictures):
    data = load(tmp_path, pictures, validation_fraction=0)
    assert data.info.class_names == ("a dog", "bird", "고양이") and len(data) == 36
    files = [path for name in data.info.class_names for path in sorted((pictures / "train" / name).glob("*.jpg"))]
    assert data.labels.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert_pixels(data.images(np.arange(36)), [path.read_bytes() for path in files])
    assert data.info.image_shape == (20, 28, 3) and len(load(tmp_path, pictures, "test")) == 9


def test_changed_folder_is_stored_anew(tmp_path, pictures):
    assert len(load(tmp_path, pictures, "test")) == 9
    (pictures / "test" / "bird" / "new.png").write_bytes(jpeg(7))
    assert len(load(tmp_path, pictures, "test")) == 10
    assert len(list(tmp_path.glob("folder/*"))) == 2


def test_undivided_folder_gives_a_fifth_of_every_class_to_the_test(tmp_path, pictures):
    parts = {split: load(tmp_path, pictures / "train", split) for split in ("train", "validation", "test")}
    assert [len(part) for part in parts.values()] == [26, 3, 7]
    assert {tuple(np.bincount(parts[split].labels) > 0) for split in ("train", "test")} == {(True,) * 3}
    everything = np.concatenate([part.images(np.arange(len(part))) for part in parts.values()])
    assert len({image.tobytes() for image in everything}) == 36


def test_imagenet_holds_the_archives_pixels_and_labels(tmp_path):
    source = tmp_path / "archives"
    source.mkdir()
    wordnet_ids = [imagenet_wordnet_ids()[label] for label in (0, 7, 999)]
    content = write_imagenet(source, wordnet_ids)
    prepare("imagenet2012", source=source, root=tmp_path)
    train = load_dataset("imagenet2012", "train", root=tmp_path, validation_fraction=0, crop=WHOLE)
    assert train.labels.tolist() == [0] * 3 + [7] * 3 + [999] * 3
    assert_pixels(train.images(np.arange(9)), [image for image, _ in content["train"]])
    test = load_dataset("imagenet2012", "test", root=tmp_path, crop=WHOLE)
    assert [imagenet_wordnet_ids()[label] for label in test.labels] == list(imagenet_validation_ids()[:6])
    assert_pixels(test.images(np.arange(6)), [image for image, _ in content["validation"]])
    assert test.info.num_classes == 1000


@pytest.mark.parametrize("packed", [True, False])
def test_imagenette_is_read_packed_or_unpacked(tmp_path, packed):
    files = {
        f"imagenette2-160/{split}/{w}/{i}.JPEG": jpeg(50 * c + i)
        for split in ("train", "val")
        for c, w in enumerate(IMAGENETTE)
        for i in range(2)
    }
    source = tmp_path / "archives"
    source.mkdir()
    if packed:
        write_tar(source / "imagenette2-160.tgz", files)
    else:
        for name, content in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(content)
    prepare("imagenette/160px", source=source, root=tmp_path)
    test = load_dataset("imagenette/160px", "test", root=tmp_path, crop=WHOLE)
    assert test.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert test.info.class_names[3] == "chain saw"
    assert_pixels(test.images(np.arange(20)), [content for name, content in files.items() if "/val/" in name])


def test_half_downloaded_tar_of_tars_is_named(tmp_path):
    source = tmp_path / "archives"
    source.mkdir()
    write_imagenet(source, list(imagenet_wordnet_ids()[:3]))
    archive = source / "ILSVRC2012_img_train.tar"
    archive.write_bytes(archive.read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train.tar is damaged or cut short"):
        prepare("imagenet2012", source=source, root=tmp_path)


def test_stream_is_the_same_for_any_number_of_threads(tmp_path, pictures):
    def stream(threads):
        return list(
            itertools.islice(train_batches(load(tmp_path, pictures, crop=CROP, num_threads=threads), 10, seed=3), 8)
        )

    one, *others = (stream(threads) for threads in (1, 2, 4))
    for other in others:
        for left, right in zip(one, other, strict=True):
            for key in left:
                np.testing.assert_array_equal(left[key], right[key])


@pytest.mark.parametrize("shards", [1, 2, 8])
def test_stream_is_the_same_for_any_number_of_shards_and_after_resume_at_any_step(tmp_path, pictures, shards):
    data = load(tmp_path, pictures, crop=CROP, num_threads=4)
    steps = 10  # more than two epochs
    one_thread = load(tmp_path, pictures, crop=CROP, num_threads=1)
    whole = list(itertools.islice(train_batches(one_thread, 8, seed=1), steps + 2))
    for start in range(steps):
        parts = [
            list(
                itertools.islice(
                    train_batches(data, 8, seed=1, start=start, rows=slice(p * 8 // shards, (p + 1) * 8 // shards)), 2
                )
            )
            for p in range(shards)
        ]
        for step in range(2):
            joined = np.concatenate([part[step]["image"] for part in parts])
            np.testing.assert_array_equal(joined, whole[start + step]["image"])


def test_crops_differ_between_epochs_and_seeds_and_repeat_otherwise(tmp_path, pictures):
    data = load(tmp_path, pictures, crop=CROP)
    index, zeros = np.arange(10), np.zeros(10, int)
    first = data.images(index, epoch=zeros, seed=0)
    np.testing.assert_array_equal(first, data.images(index, epoch=zeros, seed=0))
    assert (first != data.images(index, epoch=zeros + 1, seed=0)).any(axis=(1, 2, 3)).all()
    assert (first != data.images(index, epoch=zeros, seed=1)).any(axis=(1, 2, 3)).all()


def test_random_crop_is_refused_in_evaluation(tmp_path, pictures):
    with pytest.raises(DataError, match="a random crop needs the epoch"):
        next(eval_batches(load(tmp_path, pictures, crop=CROP), 4))


@pytest.fixture
def with_bad_files(pictures):
    (pictures / "train" / "bird" / "cut 잘린.jpg").write_bytes(jpeg(1)[:600])
    (pictures / "test" / "bird" / "zero.jpg").write_bytes(b"")
    (pictures / "test" / "a dog" / "text.png").write_bytes(b"hello")
    return pictures


def test_bad_file_ends_the_preparation_and_is_named(tmp_path, with_bad_files):
    with pytest.raises(DataError, match=r"cut 잘린\.jpg is not an image .* on_error=skip"):
        load(tmp_path, with_bad_files)
    assert not list(tmp_path.glob("folder/*/*"))


def test_skipped_files_are_counted_and_listed(tmp_path, with_bad_files):
    train, test = (
        load(tmp_path, with_bad_files, split, on_error="skip", validation_fraction=0 if split == "train" else None)
        for split in ("train", "test")
    )
    assert len(train) == 36 and len(test) == 9
    assert [name.rpartition("/")[2] for name in train.info.skipped] == ["cut 잘린.jpg", "text.png", "zero.jpg"]
    (folder,) = tmp_path.glob("folder/*/1.0.0")
    reasons = [row["reason"] for row in json.loads((folder / "skipped.json").read_text())]
    assert "0 bytes" in reasons[2] and "zero.jpg" in reasons[2]
    assert sum(batch["mask"].sum() for batch in eval_batches(test, 4)) == 9
    with pytest.raises(DataError, match=r"3 files of folder could not be decoded .* on_error=skip"):
        load(tmp_path, with_bad_files, "test")  # a set without some of its files is not used unnoticed


def test_empty_class_folder_is_named(tmp_path, pictures):
    (pictures / "train" / "elephant").mkdir()
    with pytest.raises(DataError, match=r"train/elephant holds no image"):
        load(tmp_path, pictures)
    assert "elephant" in load(tmp_path, pictures, on_error="skip").info.class_names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "test" / "fish").mkdir(), "fish is a class that .*train does not have"),
        (lambda root: root.rename(root.with_name("moved")), "is not a folder"),
        (lambda root: [path.unlink() for path in root.glob("train/*/*.jpg")], "train holds no images"),
    ],
    ids=["unknown class", "missing", "no images"],
)
def test_impossible_folder_is_named(tmp_path, pictures, change, message):
    change(pictures)
    with pytest.raises(DataError, match=message):
        load(tmp_path, pictures)


def test_unreadable_folder_and_file_are_named(tmp_path, pictures, monkeypatch):
    from pathlib import Path

    from cnn_jax.data.sets import image_folder

    real_scan, real_read = image_folder.os.scandir, Path.read_bytes

    def refuse(path, real, word):
        if word in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(image_folder.os, "scandir", lambda path: refuse(path, real_scan, "train/bird"))
        with pytest.raises(DataError, match=r"train/bird cannot be read: Permission denied"):
            load(tmp_path, pictures)
        left = load(tmp_path, pictures, on_error="skip", validation_fraction=0)
        assert left.info.skipped == (str(pictures / "train" / "bird"),) and set(left.labels) == {0, 2}
    monkeypatch.setattr(Path, "read_bytes", lambda path: refuse(path, real_read, "사진 03"))
    with pytest.raises(DataError, match=r"사진 03.jpg cannot be read: Permission denied"):
        load(tmp_path, pictures)
    skipped = load(tmp_path, pictures, on_error="skip").info.skipped
    assert len(skipped) == 3 and all(name.endswith("사진 03.jpg") for name in skipped)  # one a class


def test_image_files_need_a_crop_and_others_take_none(tmp_path, pictures):
    with pytest.raises(DataError, match="the image files of folder differ in size; say by `crop`"):
        load(tmp_path, pictures, crop=None)
    with pytest.raises(DataError, match="a crop by the host has no effect on digits"):
        load_dataset("digits", "test", root=tmp_path, crop=WHOLE)


def test_folder_without_a_name_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"name it with `data.folder`"):
        load_dataset("folder", "train", root=tmp_path)
    with pytest.raises(DataError, match="--source DIR"):
        prepare("folder", root=tmp_path)


def test_image_that_goes_bad_after_preparation_is_named(tmp_path, pictures, monkeypatch):
    data = load(tmp_path, pictures)
    real = encoded._parse

    def parse(record):
        found = real(record)
        return {**found, "image": found["image"][:300]} if "03" in found["file_name"].decode() else found

    monkeypatch.setattr(encoded, "_parse", parse)
    monkeypatch.setattr(data, "_rows", None)
    with pytest.raises(DataError, match=r"사진 03.jpg \(example 3 of"):
        data.images(np.array([0, 3]))


def test_prepared_folder_is_found_again(tmp_path, pictures):
    folder = prepare("folder", source=pictures, root=tmp_path)
    assert find_prepared(tmp_path, str(folder.parent.relative_to(tmp_path))) == folder
