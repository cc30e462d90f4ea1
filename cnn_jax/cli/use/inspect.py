"""The command `inspect`: what a network has learned and looks at."""

import sys
import time
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cnn_jax.cli.flags import Json, RunFolder, Step, TrustCode, print_figures


def inspect(
    run: RunFolder,
    images: Annotated[
        tuple[Path, ...],
        arg(metavar="[IMAGE…]", help="Image files, folders and patterns, 24 at most; without any, six of the split."),
    ] = (),
    /,
    *,
    out: Annotated[Path, arg(metavar="DIR", help="The folder for the page, index.html, and its pictures as PNGs.")],
    feature: Annotated[
        str | None, arg(metavar="NAME", help="The feature map to look at; None is those that the network names.")
    ] = None,
    class_named: Annotated[
        str | None, arg(name="class", metavar="NAME", help="The class to explain; None is the one predicted.")
    ] = None,
    split: Annotated[
        str | None, arg(help="test, validation or train: what the network is measured on; None is test.")
    ] = None,
    step: Step = "latest",
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Show what a network has learned, and what it looks at in images, on a page that reads offline.

    First filters, Grad-CAM, integrated gradients, occlusion, feature maps, receptive fields, images drawn out of the
    network, neighbours, confusion, mistakes and calibration.

    From Python: `cnn_jax.inspect_run`.
    """
    from cnn_jax.runs import inspect_run

    began = time.perf_counter()

    def report(text: str) -> None:
        print(f"{time.perf_counter() - began:5.1f} s  {text}", file=sys.stderr, flush=True)

    made = inspect_run(
        run, images, out, feature=feature, class_named=class_named, split=split, step=step, trust_code=trust_code,
        report=report,
    )  # fmt: skip
    figures = {"page": str(made.page), "files": [str(path) for path in (made.page, *made.pictures)]}
    return print_figures(figures, json, lambda: print(f"{made.page}: {len(made.pictures)} pictures"))
