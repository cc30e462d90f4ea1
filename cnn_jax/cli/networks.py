"""The commands about networks: models, bench."""

from dataclasses import asdict
from typing import Annotated, Literal

from tyro.conf import arg

from cnn_jax.cli.flags import Debug, Json, print_figures


def models(json: Json = False, debug: Debug = False) -> int:
    """List the networks."""
    from cnn_jax.models import list_models

    names = list_models()
    return print_figures({"models": names}, json, lambda: print("\n".join(names)))


def bench(
    model: Annotated[str, arg(metavar="MODEL", help="As `cnn-jax models` lists them.")],
    /,
    batch: Annotated[int, arg(help="Images a step.")] = 16,
    image_size: Annotated[int | None, arg(help="Height and width; None is the published one.")] = None,
    dtype: Annotated[Literal["float32", "bfloat16", "float16", "float64"], arg(help="Of the computation.")] = "float32",
    conv: Annotated[Literal["auto", "xla"], arg(help="Our formulations and compiler options, or neither.")] = "auto",
    steps: Annotated[int, arg(help="Steps timed, after three that are not.")] = 10,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Time one training step: forward, backward, SGD with Nesterov momentum, BatchNorm statistics and dropout."""
    from cnn_jax.training.bench import time_steps

    times = asdict(time_steps(model, batch=batch, image_size=image_size, dtype=dtype, conv=conv, steps=steps))
    return print_figures(times, json, lambda: print("\n".join(f"{k:16} {v}" for k, v in times.items())))
