"""The command line: one thin function per command.

Nothing heavy is imported before the command that needs it, so that `--help` answers at once.
"""

import functools
import json as json_format
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import arg

from cnn_jax.cli_data import data
from cnn_jax.config import Config, ConfigError, load_experiment

Json = Annotated[
    bool,
    tyro.conf.FlagCreatePairsOff,
    arg(help="Print the figures as one JSON object, the last line of standard output."),
]
Debug = Annotated[bool, tyro.conf.FlagCreatePairsOff, arg(help="On failure, show the traceback.")]
RunFolder = Annotated[Path, arg(metavar="RUN", help="A run folder that `cnn-jax train` or `weights import` made.")]


def train(
    experiment: Annotated[
        Path, arg(metavar="EXPERIMENT", help="A Python file whose config() returns a cnn_jax.Config.")
    ],
    /,
    config: Annotated[Config, arg(name="")] = Config(),
    workdir: Annotated[
        Path | None, arg(metavar="DIR", help="The run folder; a name below runs/ when not given.")
    ] = None,
    profile: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, arg(help="Write a trace of ten steps into the run folder.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Train an experiment. The same command continues a run that was stopped, from its newest checkpoint."""
    from cnn_jax.training import train

    result = train(config, workdir, profile=profile)
    test = {"split": "test", "step": result.step, **result.test}
    figures = {"run": str(result.run), "step": result.step, "test": test}
    _print(figures, json, lambda: _print_evaluation(test, title=str(result.run)))
    return 0


def eval_(
    run: RunFolder,
    /,
    split: Annotated[str, arg(help="train, validation or test.")] = "test",
    step: Annotated[str, arg(help="latest, best (on the validation split) or the number of a saved step.")] = "latest",
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Evaluate a run: top-1, top-5, loss, NLL, calibration error, accuracy of each class."""
    from cnn_jax.training import evaluate

    figures = evaluate(run, split=split, step=step)
    _print(figures, json, lambda: _print_evaluation(figures, title=str(run)))
    return 0


def predict(
    run: RunFolder,
    images: Annotated[tuple[Path, ...], arg(metavar="IMAGE…", help="Image files.")],
    /,
    top: Annotated[int, arg(help="How many classes to show.")] = 5,
    step: Annotated[str, arg(help="latest, best or the number of a saved step.")] = "latest",
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Classify image files: the most probable classes of each."""
    from cnn_jax.training import predict

    predictions = predict(run, images, top=top, step=step)

    def show() -> None:
        for p in predictions:
            print(p["image"])
            for name, probability in zip(p["classes"], p["probabilities"], strict=True):
                print(f"  {probability:7.2%}  {name}")

    _print({"predictions": predictions}, json, show)
    return 0


def models(json: Json = False, debug: Debug = False) -> int:
    """List the networks."""
    from cnn_jax.models import list_models

    names = list_models()
    _print({"models": names}, json, lambda: print("\n".join(names)))
    return 0


def diff(left: RunFolder, right: RunFolder, /, json: Json = False, debug: Debug = False) -> int:
    """Show which configuration keys, versions and devices differ between two runs."""
    from cnn_jax.training import diff_runs

    rows = diff_runs(left, right)

    def show() -> None:
        if not rows:
            print("The two runs are the same experiment in the same environment.")
        for key, (a, b) in rows.items():
            print(f"{key}: {a!r} → {b!r}")

    _print(rows, json, show)
    return 0


_DESCRIPTION = "The classic convolutional networks in JAX, exactly as published, with runs that repeat to the bit."

COMMANDS: dict[str, Callable[..., int]] = {
    "train": train,
    "eval": eval_,
    "predict": predict,
    "models": models,
    "data": data,
    "diff": diff,
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: the words after `cnn-jax`; None takes them from the process.

    Returns:
      The exit status: 0, 1 for a failure, 2 for a mistaken command line or configuration, 128 + n for signal n.
    """
    argv = sys.argv[1:] if argv is None else argv
    try:
        commands = COMMANDS | {"train": _with_defaults_of(argv)}
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            return tyro.extras.subcommand_cli_from_dict(commands, prog="cnn-jax", description=_DESCRIPTION, args=argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if "--debug" in argv:
            traceback.print_exc()
        else:
            print(f"cnn-jax: {error or type(error).__name__}", file=sys.stderr)
            if not isinstance(error, (ValueError, OSError, RuntimeError)):
                print("cnn-jax: --debug shows where.", file=sys.stderr)
        return getattr(error, "exit_status", 2 if isinstance(error, ConfigError) else 1)


def entry_point() -> None:
    """The console script: `main` in a process of its own, which keeps compiled programs for the next one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnn_jax" / "xla"
    # Through the environment, because a command such as --help must not import JAX to say where its cache is.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    sys.exit(main())


def _with_defaults_of(argv: list[str]) -> Callable[..., int]:
    """`train`, with the values of the experiment file as the defaults of its flags."""
    if len(argv) < 2 or argv[0] != "train" or argv[1].startswith("-"):
        return train
    return functools.partial(train, config=load_experiment(argv[1]))


def _print(figures: Any, as_json: bool, show: Callable[[], None]) -> None:
    if as_json:
        print(json_format.dumps(figures))
    else:
        show()


def _print_evaluation(figures: dict[str, Any], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{title}: {figures['num_examples']} {figures['split']} examples at step {figures['step']}",
        title_justify="left",
    )
    table.add_column("measure")
    table.add_column("value", justify="right")
    for key, name in (("top1", "top-1 accuracy"), ("top5", "top-5 accuracy")):
        table.add_row(name, f"{figures[key]:.2%}")
    for key, name in (("loss", "loss, as trained"), ("nll", "negative log likelihood"), ("ece", "calibration error")):
        table.add_row(name, f"{figures[key]:.4f}")
    for name, value in figures["per_class"].items():
        table.add_row(f"  top-1 of {name}", "no examples" if value is None else f"{value:.2%}")
    Console().print(table)


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"cnn-jax: warning: {message}", file=sys.stderr)
