import hashlib
import tarfile
from pathlib import Path

import numpy as np
import pytest
from archive_writers import write_cifar10, write_cifar100, write_emnist, write_idx, write_stl10, write_tar

from cnn_jax.data import DATASETS, DataError, load_dataset, prepare
from cnn_jax.data.sets import archive
from cnn_jax.data.sets.archive import check_official
from cnn_jax.data.sets.checksums import official_archives
from cnn_jax.download import PublishedFile


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "내 archives"
    folder.mkdir()
    return folder


def assert_stored(root, name, content):
    """Every split holds the pixels and labels that were written, in their order."""
    for split, (images, labels) in content.items():
        options = {"validation_fraction": 0} if split == "train" else {}
        ours = load_dataset(name, split, root=root, **options)
        np.testing.assert_array_equal(ours.images(np.arange(len(ours))), images)
        np.testing.assert_array_equal(ours.labels, labels)


@pytest.mark.parametrize(("name", "write"), [("cifar10", write_cifar10), ("cifar100", write_cifar100)])
@pytest.mark.parametrize("unpacked", [False, True], ids=["packed", "unpacked"])
def test_cifar_holds_the_archives_pixels_and_labels(tmp_path, source, name, write, unpacked):
    content = write(source)
    if unpacked:
        (archive,) = source.iterdir()
        with tarfile.open(archive) as tar:
            tar.extractall(source, filter="data")
        archive.unlink()
    prepare(name, source=source, root=tmp_path)
    assert_stored(tmp_path, name, content)


def test_stl10_holds_the_archives_pixels_labels_and_folds(tmp_path, source):
    content = write_stl10(source)
    prepare("stl10", source=source, root=tmp_path)
    unlabelled, _ = content.pop("unlabeled")
    assert_stored(tmp_path, "stl10", content)
    ours = load_dataset("stl10", "unlabelled", root=tmp_path)
    np.testing.assert_array_equal(ours.images(np.arange(7)), unlabelled)
    assert (ours.labels == -1).all()
    fold = load_dataset("stl10/fold3", "train", root=tmp_path, validation_fraction=0)
    chosen = [1, 2, 3, 4]  # 7 · 3 + i modulo 20, as they were written
    np.testing.assert_array_equal(fold.images(np.arange(4)), content["train"][0][chosen])
    assert fold.labels.tolist() == chosen and len(load_dataset("stl10/fold3", "test", root=tmp_path)) == 10
    with pytest.raises(DataError, match=r"stl10 has the folds fold0, .*, not fold10"):
        load_dataset("stl10/fold10", "train", root=tmp_path)


@pytest.mark.parametrize("name", ["byclass", "bymerge", "balanced", "letters", "digits", "mnist"])
def test_emnist_is_upright_with_labels_from_zero(tmp_path, source, name):
    spec = DATASETS[f"emnist/{name}"]
    content = write_emnist(source, name, spec.num_classes)
    prepare(spec.name, source=source, root=tmp_path)
    assert_stored(
        tmp_path, spec.name, {split: (images[..., None], labels) for split, (images, labels) in content.items()}
    )


@pytest.mark.parametrize("name", ["mnist", "kmnist", "fashion_mnist"])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_mnist_like_sets_are_read_compressed_or_not(tmp_path, source, name, suffix):
    content = {}
    for split, stem, count in (("train", "train", 30), ("test", "t10k", 10)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(source / f"{stem}-images-idx3-ubyte{suffix}", images)
        write_idx(source / f"{stem}-labels-idx1-ubyte{suffix}", labels)
        content[split] = images[..., None], labels
    prepare(name, source=source, root=tmp_path)
    assert_stored(tmp_path, name, content)


@pytest.mark.parametrize(("name", "write"), [("cifar10", write_cifar10), ("stl10", write_stl10)])
def test_half_downloaded_archive_is_named_and_leaves_nothing(tmp_path, source, name, write):
    write(source)
    (archive,) = source.iterdir()
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(DataError, match=f"{archive.name} is damaged or cut short"):
        prepare(name, source=source, root=tmp_path)
    assert not list(tmp_path.glob(f"{name}*"))


def test_half_downloaded_zip_is_named(tmp_path, source):
    write_emnist(source, "digits", 10)
    (source / "gzip.zip").write_bytes((source / "gzip.zip").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"gzip.zip is damaged or cut short"):
        prepare("emnist/digits", source=source, root=tmp_path)


def test_records_cut_short_are_named(tmp_path, source):
    write_tar(source / "cifar-100-binary.tar.gz", {"cifar-100-binary/train.bin": bytes(3074 * 2 - 1)})
    with pytest.raises(DataError, match=r"train.bin from .* has 6,147 bytes, which is no number of 3,074-byte records"):
        prepare("cifar100", source=source, root=tmp_path)


def test_archive_without_the_member_is_named(tmp_path, source):
    write_tar(source / "cifar-100-binary.tar.gz", {"else.bin": b""})
    with pytest.raises(DataError, match=r"there is no cifar-100-binary/train.bin in it"):
        prepare("cifar100", source=source, root=tmp_path)


def test_images_and_labels_of_different_length_are_refused(tmp_path, source):
    for stem in ("train", "t10k"):
        write_idx(source / f"{stem}-images-idx3-ubyte", np.zeros((3, 28, 28), np.uint8))
        write_idx(source / f"{stem}-labels-idx1-ubyte", np.zeros(4, np.uint8))
    with pytest.raises(DataError, match="do not belong together"):
        prepare("mnist", source=source, root=tmp_path)


def test_label_outside_the_classes_is_refused(tmp_path, source):
    for stem in ("train", "t10k"):
        write_idx(source / f"{stem}-images-idx3-ubyte", np.zeros((3, 28, 28), np.uint8))
        write_idx(source / f"{stem}-labels-idx1-ubyte", np.array([1, 10, 3], np.uint8))
    with pytest.raises(DataError, match="example 1 of train has the label 10, but there are only 10 classes"):
        prepare("mnist", source=source, root=tmp_path)


def test_emnist_alone_asks_which_way_to_split(tmp_path):
    with pytest.raises(DataError, match="did you mean emnist/byclass or emnist/bymerge or"):
        load_dataset("emnist", "train", root=tmp_path)


def test_archives_are_compared_with_the_published_checksums(tmp_path, caplog, monkeypatch):
    path = tmp_path / "a.tar"
    path.write_bytes(b"official")
    official = {"a.tar": PublishedFile("http://a.tar", 8, hashlib.sha256(b"official").hexdigest())}
    monkeypatch.setattr(archive, "official_archives", lambda name: official)
    monkeypatch.setitem(archive.CONTENTS, "some", {"a.tar": hashlib.sha256(bytes(3)).hexdigest()})
    assert check_official("some", path) and not caplog.messages
    path.write_bytes(b"packed anew")
    assert (
        check_official("some", path, np.zeros(3, np.uint8)) and "packed anew, with the official content" in caplog.text
    )
    assert not check_official("some", path) and "is not the official archive of some" in caplog.text


def test_fashion_mnist_of_debian_has_the_official_content(tmp_path, caplog):
    """The real thing, where the package dataset-fashion-mnist is installed."""
    debian = Path("/usr/share/datasets/fashion-mnist")
    if not debian.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    splits = DATASETS["fashion_mnist"].read(debian)
    assert len(splits["train"]) == 60_000 and len(splits["test"]) == 10_000
    assert caplog.text.count("with the official content") == 4


def test_every_archive_has_a_published_checksum():
    for spec in DATASETS.values():
        if spec.source == "archives":
            table = official_archives(spec.family)
            assert set(spec.archives) <= set(table)
            assert all(len(archive.sha256) == 64 and archive.num_bytes > 0 for archive in table.values())
    # Written down once, from the table that MNIST's mirror publishes.
    assert official_archives("mnist")["t10k-labels-idx1-ubyte.gz"].sha256.startswith("f7ae60f92e00ec6debd23a6088c31dbd")
