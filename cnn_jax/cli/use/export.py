"""The command `export`: a trained network for those who have neither this package nor its code."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from cnn_jax.cli.flags import Json, RunFolder, Step, TrustCode, print_figures


def export(
    run: RunFolder,
    file: Annotated[Path, arg(metavar="FILE", help="The .zip to write.")],
    /,
    step: Step = "latest",
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Write a run's network as one zip that JAX and NumPy run alone: on CPU, CUDA and TPU, any number of images.

    From Python: `cnn_jax.export`.
    """
    from cnn_jax.runs import export

    figures = export(run, file, step=step, trust_code=trust_code, report=lambda text: print(text, file=sys.stderr))

    def show() -> None:
        print(f"{file}: step {figures['step']}, {figures['bytes']:,} bytes")
        print(f"largest difference to the run's logits, of the largest of them: {figures['difference']:.1e}")

    return print_figures(figures, json, show)
