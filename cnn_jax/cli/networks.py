"""The commands about networks: models, summary, bench."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Annotated, Literal

from tyro.conf import arg

from cnn_jax.cli.flags import Json, TrustCode, check_range, print_figures
from cnn_jax.cli.output import console
from cnn_jax.config import ConfigError

# Pixels a side; the pixels of an image are counted in 32 bits.
LARGEST_IMAGE = 2**15


def models(json: Json = False) -> int:
    """List the networks: image size, classes, parameters, MACs (multiplications with additions) and paper.

    From Python: `cnn_jax.list_models`.
    """
    from cnn_jax.models import MODELS, list_models
    from cnn_jax.models.published import PUBLISHED

    def show() -> None:
        from rich.table import Table

        table = Table("network", "image", "classes", "parameters", "MACs", "paper", box=None)
        for column in table.columns[2:5]:
            column.justify = "right"
        for name, entry in MODELS.items():
            shape, about = "×".join(map(str, entry.image_shape)), PUBLISHED[name]
            cost = f"{about.parameters:,}", f"{about.macs / 1e6:,.1f} M"
            table.add_row(name, shape, str(entry.num_classes), *cost, about.paper)
        out = console()
        out.width = max(out.width, 140)
        out.print(table)

    return print_figures({"models": list_models()}, json, show)


def summary(
    models: Annotated[
        tuple[str, ...],
        arg(metavar="MODEL…", help="A network, an experiment file or a run; one for its layers, several to compare."),
    ],
    /,
    image_size: Annotated[int | None, arg(help="Side of the images in pixels; as published when not given.")] = None,
    classes: Annotated[int | None, arg(help="Outputs of the classifier; as published when not given.")] = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Show what networks cost: parameters, MACs, FLOPs and activation memory, by layer and in total.

    From Python: `cnn_jax.summary`.
    """
    from cnn_jax.inspect import comparison_table, layer_table
    from cnn_jax.inspect import summary as summary_of
    from cnn_jax.runs.open import find_network

    if not models:
        raise ConfigError("summary needs the name of at least one network; `cnn-jax models` lists them.")
    check_range("--image-size", image_size, 1, LARGEST_IMAGE)
    check_range("--classes", classes, 1)
    with _usage():
        summaries = []
        for name in models:
            called, model, (height, width, channels) = find_network(name, classes, trust_code=trust_code)
            found = summary_of(model, (image_size or height, image_size or width, channels))
            summaries.append(replace(found, model=called))
    figures = summaries[0].as_dict() if len(summaries) == 1 else {"models": [s.as_dict() for s in summaries]}

    def show() -> None:
        out = console()
        out.width = max(out.width, 120)  # a table with its columns cut off says nothing
        out.print(layer_table(summaries[0]) if len(summaries) == 1 else comparison_table(summaries))

    return print_figures(figures, json, show)


def bench(
    model: Annotated[str, arg(metavar="MODEL", help="As `cnn-jax models` lists them, or an experiment file.")],
    /,
    batch: Annotated[int, arg(help="Images a step.")] = 16,
    image_size: Annotated[int | None, arg(help="Height and width; None is the published one.")] = None,
    dtype: Annotated[Literal["float32", "bfloat16", "float16", "float64"], arg(help="Of the computation.")] = "float32",
    conv: Annotated[Literal["auto", "xla"], arg(help="Our formulations and compiler options, or neither.")] = "auto",
    steps: Annotated[int, arg(help="Steps timed, after three that are not; with --steps-per-call, calls.")] = 10,
    steps_per_call: Annotated[
        int, arg(help="More than one run as a loop on the device; on a CPU, XLA runs its body far slower.")
    ] = 1,
    json: Json = False,
) -> int:
    """Time one training step: forward, backward, SGD with Nesterov momentum, BatchNorm statistics and dropout.

    From Python: `cnn_jax.time_steps`.
    """
    from cnn_jax.runs.bench import time_steps

    check_range("--batch", batch, 1)
    check_range("--image-size", image_size, 1, LARGEST_IMAGE)
    check_range("--steps", steps, 1)
    check_range("--steps-per-call", steps_per_call, 1, 2**31 - 1)
    with _usage():
        found = time_steps(
            model,
            batch=batch,
            image_size=image_size,
            dtype=dtype,
            conv=conv,
            steps=steps,
            steps_per_call=steps_per_call,
        )
    times = asdict(found)

    def show() -> None:
        print("\n".join(f"{name:22} {value}" for name, value in times.items() if value is not None))
        if found.peak_tflops is None:
            print(f"no share of a peak: no maker's figure is known here for {dtype} on {found.device}")

    return print_figures(times, json, show)


@contextmanager
def _usage() -> Iterator[None]:
    """A network that does not exist, or that does not take these images, is a mistaken command line."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(str(error)) from error
