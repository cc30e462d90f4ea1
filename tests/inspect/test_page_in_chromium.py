"""A page of every kind of picture as a browser shows it, on a desk and on a phone; `chromium` is Debian's."""

import numpy as np
import pytest
from chromium import PROGRAM, Chromium

from cnn_jax.inspect import confusion, principal_plane, reliability
from cnn_jax.inspect.draw import (
    draw_confusion,
    draw_explanation,
    draw_mistakes,
    draw_plane,
    draw_receptive_fields,
    draw_reliability,
    draw_tiles,
    to_grey,
)
from cnn_jax.inspect.draw.page import Section, html, picture

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no program `chromium` here"),
]

HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>"
NAMES = ["aeroplane", "black-footed ferret $x$", "horned viper, cerastes", HOSTILE]


def figures():
    generator = np.random.default_rng(0)
    images, maps = generator.random((5, 12, 16)), generator.normal(size=(5, 6, 8))
    labels, predicted, sure = generator.integers(0, 4, 40), generator.integers(0, 4, 40), generator.random(40)
    yield draw_tiles(to_grey(maps, signed=True), NAMES + NAMES[:1], marks=[True, False, None, None, None])
    yield draw_explanation(
        images[0], {"Grad-CAM": maps[0] ** 2, "integrated gradients": maps[1]}, NAMES[1], is_right=False
    )
    yield draw_receptive_fields(images[1], {"stem": (2, 3, 7, 8), "stage9": (-300, -200, 300, 400)})
    yield draw_confusion(confusion(labels, predicted, 4), NAMES)
    yield draw_mistakes(np.uint8(255 * images[..., None]), labels[:5], predicted[:5], sure[:5], NAMES)
    yield draw_plane(principal_plane(generator.normal(size=(40, 3))), labels, NAMES)
    curve = reliability(sure, labels == predicted)
    yield draw_reliability({"as trained": curve, "at temperature 0.90": curve})


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    pictures = [picture(f"p{i}", figure, f"{HOSTILE} {i}") for i, figure in enumerate(figures())]
    sections = [Section("one", "One", HOSTILE, pictures[:3]), Section("two", "Two", "A note.", pictures[3:])]
    file = tmp_path_factory.mktemp("page") / "index.html"
    file.write_text(html(f"Inside {HOSTILE}", "run", ["a fact", HOSTILE], sections))
    return file


@pytest.mark.parametrize("width", [1280, 390], ids=["desk", "phone"])
def test_every_picture_fits_its_window_and_text_is_text(page, width):
    with Chromium() as browser:
        browser.open(page, width)
        assert browser.run("document.documentElement.scrollWidth") == width
        assert browser.run("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        shown = browser.run("[...document.images].map(image => image.getBoundingClientRect().width)")
        # Text of 8 points, as the figures have it, is 8 pixels high and more where 4.4 inches are 320 pixels and more.
        assert len(shown) == 7 and min(shown) >= 320
        assert browser.run("document.title") == f"Inside {HOSTILE}"
        assert browser.run("document.querySelectorAll('script, img[onerror]').length") == 0
        asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
        assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
        assert "Log.entryAdded" not in {event["method"] for event in browser.events}
