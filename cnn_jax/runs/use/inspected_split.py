"""Pictures of what a run's network makes of a whole split: neighbours, confusion, mistakes, calibration."""

import jax.numpy as jnp
import numpy as np

from cnn_jax.inspect.calibration import confidence, is_correct, reliability
from cnn_jax.inspect.confusions import commonest_confusions, confusion
from cnn_jax.inspect.draw import draw_confusion, draw_mistakes, draw_plane, draw_reliability, draw_tiles, to_image
from cnn_jax.inspect.draw.page import Section, picture
from cnn_jax.inspect.feature_space import nearest_neighbours, principal_plane
from cnn_jax.inspect.mistakes import surest_mistakes
from cnn_jax.runs.use.inspected import Inspected

_MISTAKES, _NEIGHBOURS, _QUERIES = 8, 3, 6
_SURE = "Is it as sure as it is right?"
_CLASSES = 20  # of which a confusion matrix is drawn and points have shapes of their own


def neighbours(of: Inspected) -> Section | None:
    """The split as points in the space of a feature."""
    if of.space is None or of.dataset is None:
        return None
    name, known, asked, index = of.space
    pictures, labels = [], of.dataset.labels[index]
    if min(known.shape) > 1 and len(of.names) <= _CLASSES:
        figure = draw_plane(principal_plane(known), labels, of.names)
        pictures.append(picture("plane", figure, f"{len(known):,} {of.split} images in the plane of {name}"))
    inputs, asked = of.inputs[:_QUERIES], asked[:_QUERIES]
    found = nearest_neighbours(known, asked, _NEIGHBOURS + 1).indices
    if found.shape[1] > _NEIGHBOURS:
        tiles, titles = [], []
        for i, query in enumerate(to_image(of.pixels(inputs))):
            others = [j for j in found[i] if of.index is None or index[j] != of.index[i]][:_NEIGHBOURS]
            near = of.take(jnp.asarray(of.dataset.images(index[others])))
            tiles += [query, *to_image(of.pixels(near))]
            said = f"is {of.names[of.labels[i]]}" if of.labels is not None else of.titles[i]
            titles += [f"{i + 1}: {said}", *(of.names[labels[j]] for j in others)]
        caption = f"Left: images 1 to {len(inputs)}; beside each, its nearest {of.split} images and what they are"
        pictures.append(picture("neighbours", draw_tiles(tiles, titles), caption))
    note = f"Distances are taken in the feature {name}; the plane is that of its largest variance."
    return Section("space", "Neighbours in feature space", note, pictures)


def confused(of: Inspected) -> Section | None:
    """Which class is taken for which, and the surest mistakes."""
    if of.answers is None or of.dataset is None:
        return None
    logits, labels = of.answers.logits, of.answers.label
    predicted, sure, right = logits.argmax(1), confidence(logits), is_correct(logits, labels)
    counts = confusion(labels, predicted, len(of.names))
    pictures = []
    if len(of.names) <= _CLASSES:
        pictures.append(
            picture("confusion", draw_confusion(counts, of.names), "Percent of each class, rows add to 100")
        )
    pairs = [
        f"{share:.1%} of {true} taken for {taken}" for true, taken, share in commonest_confusions(counts, of.names)
    ]
    worst = surest_mistakes(sure[None], right[None], _MISTAKES)
    if len(worst):
        images = of.dataset.images(of.answers.index[worst])
        figure = draw_mistakes(images, labels[worst], predicted[worst], sure[worst], of.names)
        pictures.append(picture("mistakes", figure, f"The surest of {int((~right).sum())} mistakes"))
    total = f"{int(right.sum()):,} of {len(right):,} {of.split} images are classified rightly."
    return Section("mistakes", "What is taken for what", " ".join([total, "; ".join(pairs)]), pictures)


def calibration(of: Inspected) -> Section | None:
    """Whether the network is as sure as it is right, before and after temperature scaling."""
    if of.answers is None:
        return None
    logits, labels = of.answers.logits, of.answers.label
    if not np.isfinite(logits).all():
        return Section("calibration", _SURE, f"The logits of the {of.split} split are not finite.", [])
    right = is_correct(logits, labels)
    curves = {"as trained": reliability(confidence(logits), right)}
    temperature, why = of.temperature
    note = f"There is no temperature beside it: {why}."
    if not why:
        curves[f"at temperature {temperature:.2f}"] = reliability(confidence(logits, temperature), right)
        where = "this split itself" if of.split == "validation" else "the validation split alone"
        note = f"The temperature {temperature:.2f} was fitted on {where}; it changes no prediction."
    drawn = picture("reliability", draw_reliability(curves), f"Accuracy by confidence, {of.split} images")
    return Section("calibration", _SURE, note, [drawn])
