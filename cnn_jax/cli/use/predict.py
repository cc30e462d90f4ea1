"""The command `predict`."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any

from tyro.conf import arg

from cnn_jax.cli.flags import Json, Step, TrustCode, check_range, print_figures
from cnn_jax.config import ConfigError


def predict(
    run: Annotated[Path, arg(metavar="RUN", help="A run folder, or a .zip that `export` wrote.")],
    images: Annotated[
        tuple[Path, ...],
        arg(
            metavar="IMAGE…",
            help="Image files, folders of them, and patterns such as 'photos/*.jpg'; each image is brought to the size "
            "and channels of the data set's, its colours as they are.",
        ),
    ],
    /,
    top: Annotated[int, arg(help="How many classes to show.")] = 5,
    step: Step = "latest",
    csv: Annotated[
        Path | None, arg(metavar="FILE", help="Write the classes and probabilities there as a table.")
    ] = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Classify image files: the most probable classes of each.

    From Python: `cnn_jax.predict`.
    """
    from cnn_jax.runs import UnreadableImages, predict
    from cnn_jax.runs.folder.files import result_file

    check_range("--top", top, 1, most=sys.maxsize)
    if not images:
        raise ConfigError("predict needs at least one image file, folder or pattern, after the run folder.")
    fault = None
    with contextlib.nullcontext() if csv is None else result_file(csv, "--csv") as table:
        try:
            predictions = predict(run, images, top=top, step=step, trust_code=trust_code, quiet=False)
        except UnreadableImages as error:
            predictions, fault = error.predictions, error
        if table is not None:
            _write(predictions, table)

    def show() -> None:
        if csv is None:
            _show(predictions)
        else:
            print(f"{csv}: {len(predictions)} images")

    status = print_figures({"predictions": predictions}, json, show)
    if fault is not None:
        raise fault
    return status


def _write(predictions: Sequence[Mapping[str, Any]], file: IO[bytes]) -> None:
    """A line an image: its path, then class and probability by rank."""
    from cnn_jax.runs.folder.files import csv_rows

    most = max((len(said["classes"]) for said in predictions), default=1)
    with csv_rows(file) as write_row:
        write_row(["image", *(f"{what}_{rank}" for rank in range(1, most + 1) for what in ("class", "probability"))])
        for said in predictions:
            pairs = zip(said["classes"], said["probabilities"], strict=True)
            write_row([said["image"], *(value for pair in pairs for value in pair)])


def _show(predictions: Sequence[Mapping[str, Any]]) -> None:
    for said in predictions:
        print(said["image"])
        for name, probability in zip(said["classes"], said["probabilities"], strict=True):
            print(f"  {probability:7.2%}  {name}")
