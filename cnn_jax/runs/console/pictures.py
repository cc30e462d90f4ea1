"""What a run looks like: its learning curves, and test images with what the network says of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data import DatasetInfo
from cnn_jax.data.subset import Subset
from cnn_jax.parallel import is_writer
from cnn_jax.runs.evaluation import evaluate_split
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.session import Session

_ROWS, _COLUMNS = 4, 6  # a title is still read on a screen of 390 pixels


def draw_pictures(directory: Path, session: Session, variables: Mapping[str, Any]) -> None:
    """Both pictures of a run; called by all its processes, of which process 0 draws."""
    if is_writer():
        draw_curves(directory)
    draw_predictions(directory, session, variables)


def draw_curves(directory: Path) -> Path:
    """Loss and error over the steps, training and validation, from `metrics.jsonl` into `curves.png`."""
    from matplotlib.figure import Figure

    lines = read_metrics(directory)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for split, style in (
        ("train", {"lw": 1, "alpha": 0.7}),
        ("validation", {"lw": 2}),
        ("test", {"marker": "o", "ls": ""}),
    ):
        chosen = [line for line in lines if line["split"] == split and line["loss"] is not None]
        if not chosen:
            continue
        steps = [line["step"] for line in chosen]
        left.plot(steps, [line["loss"] for line in chosen], label=split, **style)
        right.plot(steps, [100 * (1 - line["top1"]) for line in chosen], label=split, **style)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="step", ylabel="top-1 error (%)", yscale="symlog", ylim=(0, 100))  # linear below 1 %, to show 0
    right.set_yticks([0, 0.5, 1, 2, 5, 10, 20, 50, 100], labels=["0", "0.5", "1", "2", "5", "10", "20", "50", "100"])
    for axes in (left, right):
        axes.grid(alpha=0.3, which="both")
        if axes.lines:  # a run may diverge before its first
            axes.legend(frameon=False)
    return save_picture(figure, directory / "curves.png", dpi=120)


def draw_predictions(directory: Path, session: Session, variables: Mapping[str, Any]) -> None:
    """A grid of images into `predictions.png`: the class predicted and its probability.

    A mistake stands in a frame, and says what the image is.

    They are of the test split; where that is not to be looked at, of the validation split, or else of the training's.

    Called by all processes of a run; process 0 draws.
    """
    from matplotlib.figure import Figure

    split = "test" if session.tests else "validation" if session.has_validation else "train"
    test = session.dataset(split)
    # Evenly spaced, so that a set sorted by class shows all its classes.
    indices = np.linspace(0, len(test) - 1, min(len(test), _ROWS * _COLUMNS)).astype(np.int32)
    shown = Subset(test, indices, test.labels[indices])
    _, said = evaluate_split(session, variables, shown)  # by the program that evaluated already
    if not is_writer():
        return
    figure = Figure(figsize=(1.25 * _COLUMNS, 1.6 * _ROWS), layout="constrained")
    for axes in np.ravel(figure.subplots(_ROWS, _COLUMNS, subplot_kw={"xticks": [], "yticks": []})):
        axes.spines[:].set_visible(False)
    images = shown.images(np.arange(len(shown)))
    rows = zip(said.label.tolist(), said.classes[:, 0].tolist(), said.probabilities[:, 0], strict=True)
    for axes, image, (label, guess, p) in zip(figure.axes, images, rows, strict=False):
        axes.imshow(image if image.shape[2] == 3 else image[:, :, 0], cmap="gray")
        text = f"{class_name(test.info, guess)} {p:.0%}"
        if guess == label:
            axes.set_title(text, fontsize=10)
        else:
            axes.set_title(f"{text}\nis {class_name(test.info, label)}", fontsize=10, color="firebrick")
            axes.spines[:].set(visible=True, color="firebrick", linewidth=3)
    save_picture(figure, directory / "predictions.png", dpi=100)


def is_drawn(directory: Path) -> bool:
    """Whether both pictures are there."""
    return all((directory / name).exists() for name in ("curves.png", "predictions.png"))


def save_picture(figure: Any, path: Path, *, dpi: int) -> Path:
    """In one piece, so that a picture that is there is whole."""
    temporary = path.with_suffix(".tmp")
    figure.savefig(temporary, dpi=dpi, format="png")
    temporary.replace(path)
    return path


def class_name(info: DatasetInfo, label: int) -> str:
    """The name of a class; its number for an output that the data set does not know."""
    return info.class_names[label] if label < len(info.class_names) else str(label)
