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
    figure = Figure(figsize=(9, 3.4))  # given its margins: to find them takes half of the time
    margins = {"left": 0.11, "right": 0.985, "bottom": 0.15, "top": 0.96, "wspace": 0.22}
    left, right = figure.subplots(1, 2, gridspec_kw=margins)
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
    from matplotlib.patches import Rectangle

    split = "test" if session.tests else "validation" if session.has_validation else "train"
    test = session.dataset(split)
    # Evenly spaced, so that a set sorted by class shows all its classes.
    indices = np.linspace(0, len(test) - 1, min(len(test), _ROWS * _COLUMNS)).astype(np.int32)
    shown = Subset(test, indices, test.labels[indices])
    _, said = evaluate_split(session, variables, shown)  # by the program that evaluated already
    if not is_writer():
        return
    images = shown.images(np.arange(len(shown)))
    # One system of axes for all, in units of an image's width: 24 of them take ten times as long to draw.
    width, height = 1.25, images.shape[1] / images.shape[2] + 0.5
    figure = Figure(figsize=(1.05 * width * _COLUMNS, 1.05 * height * _ROWS))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    rows = zip(said.label.tolist(), said.classes[:, 0].tolist(), said.probabilities[:, 0], strict=True)
    for place, (image, (label, guess, p)) in enumerate(zip(images, rows, strict=True)):
        x, bottom = width * (place % _COLUMNS), height * (place // _COLUMNS + 1) - 0.05
        right, extent = guess == label, (x, x + 1, bottom, bottom - height + 0.5)
        axes.imshow(image if image.shape[2] == 3 else image[:, :, 0], cmap="gray", extent=extent, aspect="auto")
        text = f"{class_name(test.info, guess)} {p:.0%}" + ("" if right else f"\nis {class_name(test.info, label)}")
        colour = "black" if right else "firebrick"
        axes.text(x + 0.5, extent[3] - 0.04, text, fontsize=10, color=colour, ha="center", va="bottom")
        if not right:
            axes.add_patch(Rectangle((x, extent[3]), 1, height - 0.5, fill=False, color=colour, linewidth=3))
    axes.set(xlim=(-0.125, width * _COLUMNS - 0.125), ylim=(height * _ROWS, 0))  # which `imshow` changes
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


def class_names(info: DatasetInfo, outputs: int) -> tuple[str, ...]:
    """The names of all outputs of a network."""
    return tuple(class_name(info, label) for label in range(outputs))
