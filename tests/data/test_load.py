import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import (
    DataError,
    UnpreparedError,
    data_root,
    describe_dataset,
    load_dataset,
    parse_augment,
    prepare,
    preprocess_image,
)
from cnn_jax.data.decoding.host_crop import random_resized_crop


def pixels(images):
    return sorted(image.tobytes() for image in images)


def test_digits_are_those_of_scikit_learn(digits_root):
    from sklearn.datasets import load_digits

    ours = [load_dataset("digits", split, root=digits_root) for split in ("train", "validation", "test")]
    assert [len(split) for split in ours] == [1258, 180, 359]
    theirs = {}
    for image, label in zip(*load_digits(return_X_y=True), strict=True):
        theirs.setdefault(image.astype(np.uint8).tobytes(), []).append(int(label))
    count = 0
    for split in ours:
        dots = np.rint(split.images(np.arange(len(split))) * (16 / 255)).astype(np.uint8)
        for image, label in zip(dots, split.labels, strict=True):
            theirs[image.tobytes()].remove(label)
            count += 1
    assert count == 1797 and not any(theirs.values())


def test_digits_splits_have_every_class_in_proportion(digits_root):
    whole = sum(np.bincount(load_dataset("digits", split, root=digits_root).labels) for split in ("train", "test"))
    test = np.bincount(load_dataset("digits", "test", root=digits_root).labels)
    assert (abs(test - whole * 359 / (1258 + 359)) < 2).all()


def test_statistics_are_those_of_the_training_images(digits_root):
    train = load_dataset("digits", "train", root=digits_root)
    images = train.images(np.arange(len(train))) / 255
    np.testing.assert_allclose(train.info.mean, images.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(train.info.std, images.std(axis=(0, 1, 2)), rtol=1e-12)


def test_prepared_set_is_a_tfds_folder(digits_root):
    import tensorflow_datasets as tfds

    source = tfds.builder_from_directory(digits_root / "digits" / "1.0.0").as_data_source("test[:10]")
    ours = load_dataset("digits", "test", root=digits_root)
    np.testing.assert_array_equal(np.stack([example["image"] for example in source]), ours.images(np.arange(10)))
    assert [example["label"] for example in source] == ours.labels[:10].tolist()


def test_idx_set_holds_the_archives_pixels_and_labels(tmp_path, idx_source):
    source, content = idx_source
    prepare("fashion_mnist", source=source, root=tmp_path)
    whole = load_dataset("fashion_mnist", "train", root=tmp_path, validation_fraction=0)
    test = load_dataset("fashion_mnist", "test", root=tmp_path)
    for ours, (images, labels) in ((whole, content["train"]), (test, content["t10k"])):
        np.testing.assert_array_equal(ours.images(np.arange(len(ours)))[..., 0], images)
        np.testing.assert_array_equal(ours.labels, labels)
    assert whole.info.class_names[9] == "Ankle boot"


@pytest.mark.parametrize("fraction", [None, 0.1, 0.25])
def test_validation_and_training_divide_the_official_training_split(tmp_path, idx_source, fraction):
    source, content = idx_source
    prepare("fashion_mnist", source=source, root=tmp_path)
    train, validation = (
        load_dataset("fashion_mnist", split, root=tmp_path, validation_fraction=fraction)
        for split in ("train", "validation")
    )
    assert len(validation) == round(60 * (fraction or 0.1))
    both = [*train.images(np.arange(len(train))), *validation.images(np.arange(len(validation)))]
    assert pixels(both) == pixels(content["train"][0])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_an_image_from_elsewhere_is_scaled_as_those_of_the_set(digits_root, interpolation):
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    filtering = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}[interpolation]
    gray, colours = (Image.fromarray(image).convert(mode).resize((8, 8), filtering) for mode in ("L", "RGB"))
    shape = load_dataset("digits", "test", root=digits_root).info.image_shape
    np.testing.assert_array_equal(preprocess_image(image, shape, interpolation=interpolation)[..., 0], gray)
    chain = parse_augment(["resize(8)"], files=True, interpolation=interpolation)
    described = describe_dataset("imagenet2012", "test", crop=chain.host)
    assert described.image_shape == (8, 8, 3) and described.num_examples == 50_000
    np.testing.assert_array_equal(preprocess_image(image, described.image_shape, crop=chain.host), colours)


def test_a_random_crop_is_no_way_to_look_at_a_new_image():
    with pytest.raises(DataError, match="take that of evaluation"):
        preprocess_image(np.zeros((9, 9, 3), np.uint8), (8, 8, 3), crop=random_resized_crop(8))


def test_unprepared_set_names_the_command_within_two_seconds(tmp_path):
    begin = time.perf_counter()
    with pytest.raises(UnpreparedError, match=f"cnn-jax data prepare fashion_mnist --source DIR --root {tmp_path}"):
        load_dataset("fashion_mnist", "train", root=tmp_path)
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda root: load_dataset("fashion_mist", "train", root=root), "did you mean fashion_mnist"),
        (lambda root: load_dataset("zzz", "train", root=root), "known are digits"),
        (lambda root: load_dataset("digits", "dev", root=root), "unknown split 'dev'"),
        (
            lambda root: load_dataset("digits", "train", root=root, validation_fraction=0.2),
            "validation split of its own",
        ),
        (
            lambda root: load_dataset("fashion_mnist", "train", root=root, validation_fraction=1.0),
            r"must be in \[0, 1\)",
        ),
        (lambda root: prepare("imagenet2012", root=root), "--source DIR"),
        (lambda root: prepare("fashion_mnist", root=root, source=root / "none"), "none is not a folder"),
        (lambda root: prepare("fashion_mnist", root=root, source=root), "does not hold train-images-idx3-ubyte.gz or"),
    ],
)
def test_wrong_requests_say_what_to_do(tmp_path, call, message):
    with pytest.raises(DataError, match=message):
        call(tmp_path)


def test_root_is_the_argument_then_the_environment_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_JAX_DATA", str(tmp_path / "environment"))
    assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root() == tmp_path / "environment"
    monkeypatch.delenv("CNN_JAX_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "cnn_jax"


def test_preparing_and_reading_import_no_tensorflow(tmp_path):
    program = (
        "import sys; from cnn_jax.data import load_dataset, train_batches\n"
        "next(train_batches(load_dataset('digits', 'train'), 8, seed=0))\n"
        "assert 'tensorflow' not in sys.modules\n"
        "sys.modules.pop('tensorflow_datasets')\n"
        "load_dataset('digits', 'test')\n"
        "assert 'tensorflow_datasets' not in sys.modules and 'jax' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=os.environ | {"CNN_JAX_DATA": str(tmp_path)}, timeout=120
    )
