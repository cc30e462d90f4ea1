"""Pictures of a run's network by itself and of single images: each a pure function's arrays, drawn."""

import re

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.inspect.activation_maximization import draw_image
from cnn_jax.inspect.attribution import COMPLETENESS, integrated_gradients
from cnn_jax.inspect.class_activation import grad_cam
from cnn_jax.inspect.draw import (
    draw_explanation,
    draw_receptive_fields,
    draw_tiles,
    to_grey,
    to_image,
)
from cnn_jax.inspect.draw.page import Section, picture
from cnn_jax.inspect.feature_names import feature, logits
from cnn_jax.inspect.filters import first_filters
from cnn_jax.inspect.occluding import occlusion
from cnn_jax.inspect.receptive_fields import receptive_field
from cnn_jax.runs.use.inspected import Inspected

_FILTERS, _CHANNELS, _MAPS = 32, 16, 5  # drawn: of the first convolution, of a map, maps
_DRAWN = 10  # classes that images are drawn for; of more, those predicted for the images


def filters(of: Inspected) -> Section | None:
    """The first convolution's."""
    try:
        kernel = np.asarray(first_filters(*of.looked_into, of.session.image_shape), np.float32)
    except ValueError:  # a network of one's own need not have a convolution
        return None
    shown = np.moveaxis(kernel, -1, 0)[:_FILTERS]
    drawn = [f if f.shape[-1] == 3 else f.mean(-1) for f in to_grey(shown, signed=True)]
    note = "Each filter of the first convolution has its own scale: middle grey is zero, white the largest weight."
    height, width, _, count = kernel.shape
    caption = f"{len(shown)} of {count} filters, {height}×{width}"
    return Section("filters", "First filters", note, [picture("filters", draw_tiles(drawn, columns=8), caption)])


def explanations(of: Inspected) -> Section:
    """What the network looks at in each image."""
    classes, shape = jnp.asarray(of.explained), of.session.image_shape
    cams = np.asarray(grad_cam(*of.looked_into, of.inputs, of.map_explained, classes))
    found = integrated_gradients(*of.looked_into, of.inputs, jnp.asarray(of.black), classes)
    shares = np.asarray(found.values, np.float32).sum(-1)
    shorter = min(shape[:2])
    side, stride = max(1, shorter // 4), max(1, shorter // 14)
    falls = np.asarray(occlusion(*of.looked_into, of.inputs, side, stride, classes))
    pictures = []
    for i, (pixels, title) in enumerate(zip(to_image(of.pixels(of.inputs)), of.titles, strict=True)):
        maps = {"Grad-CAM": cams[i], "integrated gradients": shares[i], "occlusion": falls[i]}
        right = None if of.labels is None else bool(of.predicted[i] == of.labels[i])
        figure = draw_explanation(pixels, maps, _said(of, i), is_right=right)
        caption = f"{title}: {_said(of, i)}"
        caption += "" if of.chosen is None else f"; explained: {of.names[of.chosen]}"
        pictures.append(picture(f"image_{i + 1}", figure, caption))
    gap = float(np.abs(np.asarray(found.gap)).max() / max(np.abs(np.asarray(found.difference)).max(), 1e-30))
    missed = "" if found.is_complete else f", more than the {COMPLETENESS:.0e} asked for"
    note = (
        f"Bright is what speaks for the class, dashed lines surround what speaks against it. Grad-CAM: the feature "
        f"{of.map_explained}, weighted. Integrated gradients: each pixel's share in the logit, from black, "
        f"{found.steps} steps; the shares miss the difference of the logits by {gap:.0e} of the largest{missed}. "
        f"Occlusion: how far the probability falls when a square of {side}×{side} pixels is hidden there."
    )
    return Section("images", "What it looks at", note, pictures)


def feature_maps(of: Inspected) -> Section:
    """What the first image becomes on its way through the network."""
    pictures = []
    for name in _spread(list(of.maps), _MAPS):
        maps = np.asarray(feature(*of.looked_into, of.inputs[:1], name), np.float32)[0]
        strongest = np.sort(np.argsort(-maps.std((0, 1)), kind="stable")[:_CHANNELS])
        drawn = to_grey(np.moveaxis(maps[..., strongest], -1, 0))
        figure = draw_tiles(drawn, [f"{k}" for k in strongest], columns=8 if len(drawn) > 4 else 4)
        height, width, count = maps.shape
        caption = f"{name}: {height}×{width}, {len(drawn)} of {count} channels"
        pictures.append(picture(f"maps_{_file(name)}", figure, caption))
    note = f"Of {of.titles[0]}: the channels that vary the most over the image, numbered, each from black to white."
    return Section("maps", "Feature maps", note, pictures)


def fields(of: Inspected) -> Section | None:
    """What the middle of each feature map sees."""
    boxes = {}
    for name in _spread(list(of.maps), 4):
        height, width, _ = of.maps[name]
        try:
            field = receptive_field(*of.looked_into, of.session.image_shape, name)
        except ValueError:  # the windows of a network of one's own may not say what it sees
            continue
        boxes[name] = field.box(height // 2, width // 2)
    if not boxes:
        return None
    figure = draw_receptive_fields(to_image(of.pixels(of.inputs[:1]))[0], boxes)
    note = "The pixels that the middle element of a map depends on at all, whatever the weights; padding lies outside."
    drawn = picture("receptive_fields", figure, f"Receptive fields on {of.titles[0]}")
    return Section("fields", "Receptive fields", note, [drawn])


def drawn_images(of: Inspected) -> Section:
    """Images drawn out of the network: for its classes, or for the channels of the feature asked for."""
    many = len(of.names) > _DRAWN
    if of.feature and of.chosen is None:
        units = list(range(min(_DRAWN, of.maps[of.feature][-1])))
        titles = [f"channel {unit}" for unit in units]
    else:
        units = [of.chosen] if of.chosen is not None else sorted(set(of.predicted.tolist())) if many else []
        units = units or list(range(len(of.names)))
    named = of.feature if of.chosen is None else None
    images = draw_image(
        *of.looked_into, of.session.image_shape, units, feature=named, low=of.black.tolist(), high=of.white.tolist()
    )
    what = f"channels of {named}" if named else "classes"
    if not named:
        sure = np.asarray(jax.nn.softmax(logits(*of.looked_into, images)))
        titles = [f"{of.names[k]}: {sure[i, k]:.1%}" for i, k in enumerate(units)]
    pixels = of.pixels(images)
    low, high = pixels.min((1, 2, 3), keepdims=True), pixels.max((1, 2, 3), keepdims=True)
    figure = draw_tiles(to_image((pixels - low) / (high - low)), titles, columns=5)
    note = (
        f"Each began as grey and was changed step by step to excite its {'channel' if named else 'class'} more, kept "
        "smooth, and shifted by a few pixels each time. No image of the data set was used. Each is shown from its "
        "darkest to its brightest pixel."
    )
    caption = f"Drawn for {what}" + ("" if named else ", with the probability that this network gives it")
    return Section("drawn", "Images drawn out of the network", note, [picture("drawn", figure, caption)])


def _said(of: Inspected, i: int) -> str:
    """What the network says of an image, and what it is."""
    said = f"taken for {of.names[of.predicted[i]]}, {of.probabilities[i].max():.0%}"
    return said if of.labels is None else f"{said}; is {of.names[of.labels[i]]}"


def _file(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)


def _spread(names: list[str], most: int) -> list[str]:
    """At most so many of them, evenly."""
    return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).astype(int))]
