"""The command `probe`."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cnn_jax.cli.flags import Json, print_figures
from cnn_jax.cli.output import console


def probe(
    weights: Annotated[
        str, arg(metavar="RUN|WEIGHTS", help="A run, RUN@best or RUN@STEP, or a weights file, of the network.")
    ],
    experiment: Annotated[
        Path, arg(metavar="EXPERIMENT", help="The experiment file whose network, data and evaluation are meant.")
    ],
    /,
    json: Json = False,
) -> int:
    """Fit a linear classifier to the features before the classifier, as they are: what are they worth on these data?

    The features are computed once and kept. Validation chooses the regularisation; test is looked at once.

    From Python: `cnn_jax.probe`.
    """
    from cnn_jax.runs import probe

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    figures = probe(weights, experiment, quiet=False, say=say)

    def show() -> None:
        from rich.table import Table

        kept = "kept from before" if figures["cached"] else "computed, and kept"
        print(
            f"{weights}: {figures['features']} features, {kept}; strength {figures['strength']:g}, chosen on validation"
        )
        table = Table("split", "examples", "top-1 accuracy", "negative log likelihood")
        for column in table.columns[1:]:
            column.justify = "right"
        for split in ("train", "validation", "test"):
            if found := figures[split]:
                table.add_row(split, f"{found['num_examples']:,}", f"{found['top1']:.2%}", f"{found['nll']:.4f}")
        console().print(table)
        print(f"in {figures['seconds']:.1f} s")

    return print_figures(figures, json, show)
