"""A set that was published is stored whole, or as the part that is said to be one."""

import contextlib
import dataclasses
import io
import re
import tarfile

import numpy as np
import pytest
from archive_writers import jpeg, write_cifar10, write_tar

from cnn_jax.data import DATASETS, DataError, load_dataset, prepare
from cnn_jax.data.decoding.host_crop import resize
from cnn_jax.data.sets.class_names import imagenet_validation_ids, imagenet_wordnet_ids

IDS = imagenet_wordnet_ids()


def publish(monkeypatch, name, **splits):
    monkeypatch.setitem(DATASETS, name, dataclasses.replace(DATASETS[name], splits=splits))


def write_imagenet(source, *, extra=(), damaged=()):
    """Both tars as someone packs them anew: each tar with the folder that its files lay in, and `extra` files."""
    source.mkdir()
    label = IDS.index(imagenet_validation_ids()[0])
    outer = io.BytesIO()
    with tarfile.open(fileobj=outer, mode="w") as packed:
        for wordnet_id in dict.fromkeys((IDS[label], IDS[0], IDS[1])):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as images:
                folder = tarfile.TarInfo(wordnet_id)
                folder.type = tarfile.DIRTYPE
                images.addfile(folder)
                for i in range(2):
                    bad = wordnet_id in damaged
                    add(images, f"{wordnet_id}/{wordnet_id}_{i}.JPEG", b"damaged" if bad else jpeg(i))
                for name in extra:
                    add(images, f"{wordnet_id}/{name}", b"\0\5\x16\7")
            add(packed, f"{wordnet_id}.tar", inner.getvalue())
        for name in extra:
            add(packed, name, b"\0\5\x16\7")
    (source / "ILSVRC2012_img_train.tar").write_bytes(outer.getvalue())
    write_tar(source / "ILSVRC2012_img_val.tar", {"val/ILSVRC2012_val_00000001.JPEG": jpeg(9), "val/._x": b"\0"})
    return IDS[label]


def add(packed, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    packed.addfile(entry, io.BytesIO(content))


def test_part_of_a_published_set_is_said_with_both_numbers(tmp_path, caplog):
    write_cifar10(tmp_path)
    prepare("cifar10", source=tmp_path, root=tmp_path / "root")
    assert "holds 20 examples of train, but cifar10 was published with 50,000; fetch or unpack it again" in caplog.text


@pytest.mark.parametrize("splits", [("train", "val"), ("train",)])
def test_unpacked_part_of_a_published_set_is_said(tmp_path, splits, caplog):
    for folder in (tmp_path / "in" / split / wordnet_id for split in splits for wordnet_id in IDS[:2]):
        folder.mkdir(parents=True)
        for i in range(5):
            (folder / f"{i}.JPEG").write_bytes(jpeg(i))
    with contextlib.suppress(DataError):  # a folder without validation images is no ImageNet
        prepare("imagenet2012", source=tmp_path / "in", root=tmp_path / "root")
    assert re.search(r"\d+ examples of train, but imagenet2012 was published with 1,281,167", caplog.text)


def test_folders_and_hidden_files_in_a_tar_are_no_images(tmp_path, monkeypatch):
    write_imagenet(tmp_path / "in", extra=("._x.JPEG", ".DS_Store"))
    publish(monkeypatch, "imagenet2012", train=6, validation=1)
    prepare("imagenet2012", source=tmp_path / "in", root=tmp_path)
    train = load_dataset("imagenet2012", "train", root=tmp_path, validation_fraction=0, crop=resize(8))
    assert np.unique(train.labels, return_counts=True)[1].tolist() == [2, 2, 2]


def test_files_that_are_left_out_are_no_missing_ones_and_untrained_classes_are_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("cnn_jax.data.sets.imagenet.check_archive", lambda *arguments: None)
    tested = IDS[IDS.index(imagenet_validation_ids()[0])]
    write_imagenet(tmp_path / "in", damaged=(tested,))
    publish(monkeypatch, "imagenet2012", train=6, validation=1)
    prepare("imagenet2012", source=tmp_path / "in", root=tmp_path, on_error="skip")
    assert "was published with" not in caplog.text
    name = DATASETS["imagenet2012"].class_names[IDS.index(tested)]
    assert f"validation holds images of {name}, of which train holds none that can be used" in caplog.text
