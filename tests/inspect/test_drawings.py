"""Drawings say right and wrong in words and shapes, and write what a table of shades shows."""

import numpy as np

from cnn_jax.inspect.draw import draw_confusion, draw_mistakes, draw_receptive_fields, draw_tiles, to_grey
from cnn_jax.inspect.draw.page import Section, html, picture


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_mistake_is_said_in_words_marked_and_framed():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    figure = draw_mistakes(images, np.array([0, 1]), np.array([2, 0]), np.array([0.994, 0.5]), ["cat", "dog", "emu"])
    assert [" ".join(text.split()) for text in words(figure)] == [
        "✗ is cat, taken for emu, 99%",
        "✗ is dog, taken for cat, 50%",
    ]
    assert len(figure.axes[0].patches) == 2
    right = draw_tiles(to_grey(np.eye(3)[None]), ["cat"], marks=[True])
    assert words(right) == ["✓ cat"] and not right.axes[0].patches


def test_a_confusion_is_written_in_percent_of_its_row():
    figure = draw_confusion(np.array([[3, 1, 0], [0, 200, 1], [0, 0, 0]]), ["a", "b", "c"])
    found = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert found == {(0, 0): "75", (1, 0): "25", (1, 1): "100"}  # half a percent, and an empty class, are left blank


def test_each_receptive_field_has_a_line_of_its_own_and_its_size_in_words():
    boxes = {"stem": (2, 2, 5, 5), "stage1": (0, 0, 9, 9)}
    figure = draw_receptive_fields(np.zeros((8, 8)), boxes)
    assert words(figure) == ["stem: 3×3 pixels", "stage1: 9×9 pixels"]
    assert len({patch.get_linestyle() for patch in figure.axes[0].patches}) == 2


def test_grey_has_zero_in_the_middle_where_it_is_signed():
    (grey,) = to_grey(np.array([[[-1.0, 0.0], [0.5, 2.0]]]), signed=True)
    np.testing.assert_allclose(grey, [[0.25, 0.5], [0.625, 1]])
    assert to_grey(np.ones((1, 2, 2)))[0].max() == 0


def test_a_page_escapes_what_it_is_given():
    drawn = picture("a", draw_tiles([np.zeros((2, 2))]), "<b>")
    page = html("<i>", "<u>", ["<s>"], [Section("x", "<em>", "<p>", [drawn])])
    assert not any(f"<{tag}>" in page.partition("<body>")[2] for tag in ("i", "u", "s", "em", "b"))
    assert drawn.address in page and drawn.content.startswith(b"\x89PNG")
