"""What the test examples show: which class is taken for which, and the images that tell two arms apart."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from cnn_jax.inspect.draw import draw_mistakes
from cnn_jax.inspect.draw.page import Picture, picture
from cnn_jax.runs.compare import check_data
from cnn_jax.runs.folder.own_code import with_code
from cnn_jax.runs.folder.predictions import Predictions
from cnn_jax.runs.folder.stored import Run
from cnn_jax.runs.machine.settings import precision
from cnn_jax.runs.session import open_session
from cnn_jax.study.predicted import Predicted
from cnn_jax.study.report.figures import surest_mistakes, told_apart
from cnn_jax.study.report.subject import Subject

_EXAMPLES = 6  # of an arm, in each direction
_MISTAKES = 8  # of one arm alone
_SIDE = 128  # pixels: about as large as a page shows an image


def class_names(subject: Subject) -> list[str]:
    """Of the data set; numbers for outputs that it does not know."""
    run = subject.readable(subject.base)[0]
    known = list(run.info.class_names) if run.info else []
    return [*known, *(str(number) for number in range(len(known), run.derived.num_classes))]


def telling_images(subject: Subject, predicted: Predicted, *, trust_code: bool) -> dict[str, Any]:
    """Test images that the base gets right and an arm wrong, and the reverse; of one arm, its surest mistakes.

    Args:
      predicted: as `figures.predictions` gives them.
      trust_code: run code of one's own in the folders, although this user has not trained with it.

    Returns:
      `groups`, each of an arm with lists of examples; `mistakes`, a picture; or `why` there is no image to show.
    """
    names, base = class_names(subject), predicted.get(subject.base, {})
    run, groups = subject.readable(subject.base)[0], []
    wrong = surest_mistakes(base, _MISTAKES) if len(predicted) == 1 else []
    for arm, found in predicted.items():
        if base and arm != subject.base:
            worse, better = told_apart(base, found, _EXAMPLES)
            sides = {subject.base: base, arm: found}
            titles = f"{subject.base} right, {arm} wrong", f"{arm} right, {subject.base} wrong"
            groups.append((arm, [(titles[0], sides, worse), (titles[1], sides, better)]))
    chosen = sorted({example for _, lists in groups for *_, examples in lists for example in examples})
    try:
        images = _images(run, [*chosen, *wrong], trust_code=trust_code) if chosen or wrong else np.zeros(0)
    except (ValueError, OSError, RuntimeError) as error:
        return {"why": str(error), "groups": [], "mistakes": None}
    pictures = dict(zip(chosen, map(_address, images), strict=False))

    def described(example: int, sides: Mapping[str, Mapping[int, Predictions]]) -> dict[str, Any]:
        one = next(iter(base.values()))
        said = [(arm, _said(found, example, names)) for arm, found in sides.items()]
        place = {"example": int(one.index[example]), "label": names[one.label[example]]}
        return {"picture": pictures[example], "said": said, **place}

    return {
        "why": "",
        "mistakes": _mistakes(base, wrong, images[len(chosen) :], names) if wrong else None,
        "groups": [
            {
                "arm": arm,
                "lists": [{"title": t, "examples": [described(e, sides) for e in es]} for t, sides, es in lists],
            }
            for arm, lists in groups
        ],
    }


def _said(found: Mapping[int, Predictions], example: int, names: Sequence[str]) -> str:
    right = sum(int(p.correct[example]) for p in found.values())
    wrong = [p.classes[example, 0] for p in found.values() if not p.correct[example]]
    usual = f", else {names[int(np.bincount(wrong).argmax())]}" if wrong else ""
    return f"right in {right} of {len(found)}{usual}"


def _mistakes(
    found: Mapping[int, Predictions], wrong: Sequence[int], images: UInt8[np.ndarray, "m h w c"], names: Sequence[str]
) -> Picture:
    """Each with the class that most seeds take it for, and the mean probability of what those that are wrong say."""
    labels = next(iter(found.values())).label[wrong]
    missed = [[p for p in found.values() if not p.correct[i]] for i in wrong]
    taken = [int(np.bincount([p.classes[i, 0] for p in of]).argmax()) for i, of in zip(wrong, missed, strict=True)]
    sure = [float(np.mean([p.probabilities[i, 0] for p in of])) for i, of in zip(wrong, missed, strict=True)]
    figure = draw_mistakes(images, labels, np.array(taken), np.array(sure), names)
    return picture("mistakes", figure, "the test images most confidently taken for another class")


def _images(run: Run, examples: Sequence[int], *, trust_code: bool) -> UInt8[np.ndarray, "m h w c"]:
    """Images of the test split of a run's data set.

    Raises:
      RunError: where the data set is another now, or is one's own and this user did not train on it here.
      ConfigError, DataError: where it is not there.
    """
    with with_code(run, trust_code=trust_code) as opened, precision(opened.config.model.dtype):
        check_data(opened)
        dataset = open_session(opened.config, opened.derived, opened.info).dataset("test")
        return dataset.images(np.array(examples, np.int32))


def _address(image: UInt8[np.ndarray, "h w c"]) -> str:
    """One that holds the image itself (`data:`)."""
    picture = Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0])
    kind = "png" if max(picture.size) <= _SIDE else "jpeg"
    picture.thumbnail((_SIDE, _SIDE))
    content = io.BytesIO()
    picture.save(content, kind)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
