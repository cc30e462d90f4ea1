"""The commands about weights: fetch, import, export."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import arg, subcommand

from cnn_jax.cli.flags import Json, RunFolder, Step, TrustCode, print_figures
from cnn_jax.cli.output import counts
from cnn_jax.config import ConfigError


def fetch(
    model: Annotated[str, arg(metavar="MODEL", help="As `cnn-jax models` lists them.")],
    /,
    source: Annotated[Literal["torchvision", "timm"], arg(name="from", help="Whose weights.")] = "torchvision",
    mirror: Annotated[
        Path | None,
        arg(
            metavar="DIR",
            help="Take them from this folder in place of the network: another machine's ~/.cache/cnn_jax/weights, or "
            "one that holds the file; by default $CNN_JAX_MIRROR.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Fetch published weights into the cache folder, and compare their checksum; for import, and for model.weights.

    From Python: `cnn_jax.fetch_weights`.
    """
    from cnn_jax.weights.fetch import fetch_weights
    from cnn_jax.weights.published import published_weights

    try:
        published_weights(model, source)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    with counts() as report:
        figures = fetch_weights(model, source=source, mirror=mirror, report=report)

    def show() -> None:
        print(figures["file"])
        known = "" if len(figures["sha256"]) == 64 else "; of its SHA-256 no more than eight digits are known"
        print(f"licence: {figures['licence']}{known}")

    return print_figures(figures, json, show)


def import_(
    model: Annotated[str, arg(metavar="MODEL", help="As `cnn-jax models` lists them.")],
    file: Annotated[Path, arg(metavar="FILE", help=".safetensors or .pth of PyTorch, .h5 or .weights.h5 of Keras.")],
    /,
    out: Annotated[Path, arg(metavar="RUN", help="The run folder to make.")],
    data: Annotated[str, arg(help="The data set to evaluate on, which names the classes.")] = "imagenet2012",
    root: Annotated[str | None, arg(help="Where prepared sets lie.")] = None,
    folder: Annotated[str | None, arg(help="With --data folder: your own images.")] = None,
    eval_augment: Annotated[
        tuple[str, ...] | None, arg(help="What brings images to the network's size; None: the source's way.")
    ] = None,
    no_head: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, arg(help="Leave the file's classifier out and draw a new one.")
    ] = False,
    json: Json = False,
) -> int:
    """Make a run of a weights file, for eval, predict and export. Every name and shape is checked.

    From Python: `cnn_jax.import_weights`.
    """
    from cnn_jax.runs import import_weights

    run = import_weights(
        model, file, out, data=data, root=root, folder=folder, eval_augment=eval_augment, head=not no_head
    )
    return print_figures({"run": str(run), "model": model}, json, lambda: print(run))


def export(
    run: RunFolder,
    file: Annotated[Path, arg(metavar="FILE", help="A .safetensors file, for torchvision's load_state_dict.")],
    /,
    step: Step = "latest",
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Write a run's weights: of our networks under torchvision's names, of your own under their own.

    From Python: `cnn_jax.export_weights`.
    """
    from cnn_jax.runs import export_weights

    written = export_weights(run, file, step=step, trust_code=trust_code)
    return print_figures({"file": str(written)}, json, lambda: print(written))


_Action = (
    Annotated[int, subcommand("fetch", constructor=fetch)]
    | Annotated[int, subcommand("import", constructor=import_)]
    | Annotated[int, subcommand("export", constructor=export)]
)


def weights(action: Annotated[_Action, arg(name="")]) -> int:
    """Bring weights in from PyTorch and Keras, and out to PyTorch."""
    return action
