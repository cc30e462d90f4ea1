"""A folder with everything that can be wrong with an image file, from preparation to evaluation."""

import io
import shutil

import cv2
import numpy as np
import pytest
from archive_writers import jpeg
from PIL import Image
from test_images import bomb, floats, moving_gif, truncated_jpeg

from cnn_jax.data import DataError, eval_batches, load_dataset, train_batches
from cnn_jax.data.decoding.host_crop import random_resized_crop, resize
from cnn_jax.data.decoding.jpeg import jpeg_size

BAD = {
    "cut short.jpg": (truncated_jpeg(), "cut short"),
    "비었음.jpg": (b"", r"empty \(0 bytes\)"),
    "moves.gif": (moving_gif(), r"moves \(3 frames\)"),
    "bomb 20000.png": (bomb(), "is refused|20000×20000 pixels"),
    "bomb.jpg": (jpeg(0, 48, 64).replace(b"\0\x30\0\x40", b"\x4e\x20\x4e\x20", 1), "20000×20000 pixels|is refused"),
    "floats.tif": (floats(), "floating-point"),
    "text.png": (b"not an image", "is not an image"),
    "nothing.webp": (None, "cannot be read: No such file"),  # a link to a file that is gone
}


def saved(**options):
    buffer = io.BytesIO()
    mode = options.pop("mode", "RGB")
    Image.open(io.BytesIO(jpeg(5, 48, 64))).convert(mode).save(buffer, **options)
    return buffer.getvalue()


ODD = {
    "a png.jpg": saved(format="PNG"),
    "cmyk 그림.jpg": saved(format="JPEG", mode="CMYK"),
    "gray.jpg": saved(format="JPEG", mode="L"),
    "palette.png": saved(format="PNG", mode="P"),
    "still.gif": saved(format="GIF"),
    "16 bit.png": cv2.imencode(".png", np.full((48, 64), 30_000, np.uint16))[1].tobytes(),
    "16 bit colour.png": cv2.imencode(".png", np.full((48, 64, 3), 30_000, np.uint16))[1].tobytes(),
    "장식 없음.JPEG": jpeg(5, 48, 64),
}


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "사진 of mine"
    for split in ("train", "test"):
        for name in ("고양이 둘", "dog"):
            (root / split / name).mkdir(parents=True)
            for file, content in ODD.items():
                (root / split / name / file).write_bytes(content)
    return root


def add(folder, name):
    content, _ = BAD[name]
    (folder / name).symlink_to("gone") if content is None else (folder / name).write_bytes(content)


def load(root, pictures, split, **options):
    crop = random_resized_crop(16) if split == "train" else resize(16)
    return load_dataset("folder", split, root=root, folder=pictures, crop=crop, **options)


def test_bad_files_are_as_bad_as_they_say():
    assert BAD["bomb 20000.png"][0][16:24] == 2 * (20_000).to_bytes(4)
    assert jpeg_size(BAD["bomb.jpg"][0]) == (20_000, 20_000)


def test_odd_files_are_all_used(tmp_path, pictures):
    train, test = (load(tmp_path, pictures, split) for split in ("train", "test"))
    assert len(test) == 2 * len(ODD) and train.info.skipped == ()
    assert next(train_batches(train, 32, seed=0))["image"].shape == (32, 16, 16, 3)
    bright = test.images(np.arange(len(test))).mean(axis=(1, 2, 3))[:2]  # "16 bit …" come first
    np.testing.assert_allclose(bright, 30_000 / 257, atol=1)


@pytest.mark.parametrize("name", BAD)
def test_bad_file_ends_the_preparation_and_is_named(tmp_path, pictures, name):
    shutil.rmtree(pictures / "test")
    add(pictures / "train" / "dog", name)
    with pytest.raises(DataError, match=f"train/dog/{name}.*({BAD[name][1]}).*on_error=skip"):
        load(tmp_path, pictures, "train")


def test_bad_files_are_skipped_counted_and_listed_and_the_rest_is_evaluated_once(tmp_path, pictures):
    for name in BAD:
        add(pictures / "train" / "dog", name)
        add(pictures / "test" / "고양이 둘", name)
    test = load(tmp_path, pictures, "test", on_error="skip")
    wanted = [pictures / "train" / "dog" / name for name in BAD] + [pictures / "test" / "고양이 둘" / n for n in BAD]
    assert sorted(test.info.skipped) == sorted(map(str, wanted))
    seen = np.concatenate([batch["index"][batch["mask"]] for batch in eval_batches(test, 5)])
    assert seen.tolist() == list(range(2 * len(ODD)))
    with pytest.raises(DataError, match="16 files of folder could not be decoded"):
        load(tmp_path, pictures, "test")
