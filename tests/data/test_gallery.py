import numpy as np
import pytest
from PIL import Image

from cnn_jax.data import draw_examples, draw_gallery, load_dataset, parse_augment
from cnn_jax.data.augmentation.chain import AUGMENTATIONS
from cnn_jax.data.gallery import _choose, gallery_specs


def test_gallery_shows_every_operation():
    shown = {spec.split("(")[0] for shape in ((32, 32, 3), (32, 32, 1)) for spec in gallery_specs(shape)}
    assert shown == set(AUGMENTATIONS)


@pytest.mark.slow  # examples, below, are drawn in the same way
def test_gallery_is_drawn(digits_root, tmp_path):
    out = draw_gallery(load_dataset("digits", "train", root=digits_root), tmp_path / "new" / "grid.png", columns=3)
    assert np.asarray(Image.open(out).convert("L")).std() > 10


@pytest.mark.slow
def test_examples_are_drawn_before_and_after(digits_root, tmp_path):
    data = load_dataset("digits", "test", root=digits_root)
    draw_examples(data, data, parse_augment(["pad_crop(2)"]), tmp_path / "a.png", columns=4)
    draw_examples(data, data, parse_augment(["pad(0)"]), tmp_path / "b.png", columns=4)
    before, after = (np.asarray(Image.open(tmp_path / name).convert("L")) for name in ("a.png", "b.png"))
    assert (before.std() > 10 and before.shape != after.shape) or (before != after).any()


def test_examples_come_from_as_many_classes_as_there_are_columns(digits_root):
    data = load_dataset("digits", "test", root=digits_root)
    images, index, titles = _choose(data, 12)
    assert data.labels[index].tolist() == [*range(10), 0, 1]
    assert titles == [str(label) for label in data.labels[index]]
    np.testing.assert_array_equal(images, data.images(index))


def test_picture_of_an_unknown_kind_is_refused(digits_root, tmp_path):
    data = load_dataset("digits", "train", root=digits_root)
    with pytest.raises(ValueError, match="Format 'xyz' is not supported"):
        draw_examples(data, data, parse_augment(["pad(1)"]), tmp_path / "grid.xyz", columns=2)
