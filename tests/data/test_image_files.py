"""Paths, folders and patterns become files; files become batches, in order, whatever some of them hold."""

import logging

import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import find_image_files, preprocess_image, read_batches


@pytest.fixture
def folder(tmp_path):
    """b/2.png, b/c/3.png, 1.png, 1[a].png, notes.txt; each image has the colour of its number."""
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name, colour in {"1": 1, "1[a]": 10, "b/2": 2, "b/c/3": 3}.items():
        Image.fromarray(np.full((4, 4), colour, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("none")
    return tmp_path


def names(found, folder):
    return [path.removeprefix(f"{folder}/") for path in found]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([""], ["1.png", "1[a].png", "b/2.png", "b/c/3.png"]),
        (["b", "1.png"], ["b/2.png", "b/c/3.png", "1.png"]),
        (["*.png"], ["1.png", "1[a].png"]),
        (["**/[23].png"], ["b/2.png", "b/c/3.png"]),
        (["1[a].png"], ["1[a].png"]),  # a file of that name goes before what the pattern means
        (["b/*"], ["b/2.png", "b/c/3.png"]),  # a folder that matches stands for what it holds
        (["1.png", "1.png", "gone.png"], ["1.png", "1.png", "gone.png"]),
    ],
)
def test_paths_folders_and_patterns(folder, given, wanted):
    found, faults = find_image_files([folder / path for path in given])
    assert names(found, folder) == wanted and not faults


def test_what_holds_no_image_is_a_sentence_and_what_is_none_is_counted(folder, caplog):
    (folder / "empty").mkdir()
    (folder / "x.heic").write_text("")
    with caplog.at_level(logging.WARNING, "cnn_jax"):
        found, faults = find_image_files([folder, folder / "empty", folder / "*.jpg"])
    assert len(found) == 4
    assert [str(fault).removeprefix(f"{folder}/") for fault in faults] == [
        "x.heic is a picture that is not read; convert it to PNG.",
        "empty holds no image.",
        "*.jpg matches no file.",
    ]
    assert "1 files are passed over: 1 no image" in caplog.text


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_batches_of_one_size_hold_every_file_in_order_and_name_the_bad_ones(folder, size):
    (folder / "bad.png").write_text("no image")
    files, _ = find_image_files([folder / "b", folder / "bad.png", folder / "gone.png", folder / "1.png"])
    paths, colours, faults = [], [], {}
    for batch in read_batches(files, size, lambda image: preprocess_image(image, (2, 2, 3)), (2, 2, 3)):
        assert batch.images.shape == (size, 2, 2, 3)
        paths += batch.paths
        colours += batch.images[: len(batch.paths), 0, 0, 0].tolist()
        faults |= batch.faults
        assert not batch.images[len(batch.paths) :].any()
    assert paths == files and colours == [2, 3, 0, 0, 1]
    assert list(faults) == files[2:4]
    assert "not an image" in str(faults[files[2]]) and "No such file" in str(faults[files[3]])
