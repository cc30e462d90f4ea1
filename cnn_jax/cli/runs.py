"""The commands about runs: train, eval, verify, diff."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import arg

from cnn_jax.cli.binding import without_defaults
from cnn_jax.cli.flags import Flag, Json, RunFolder, Step, TrustCode, print_figures
from cnn_jax.cli.scores import print_evaluation
from cnn_jax.config import Config, OtherData

_WORST = 5  # classes whose accuracy is shown at the end of a training, so that it fits on a screen; `eval` shows all

Experiment = Annotated[
    Path,
    arg(
        metavar="EXPERIMENT",
        help="A Python file whose config() returns a cnn_jax.Config, e.g. experiments/digits_lenet.py.",
    ),
]


def train(
    experiment: Experiment,
    /,
    config: Annotated[Config, arg(name="")] = Config(),
    options: Annotated[Mapping[str, Any] | None, tyro.conf.Suppress] = None,  # flags by `network_flags`
    workdir: Annotated[Path | None, arg(metavar="DIR", help="The run folder; None is one below runs/.")] = None,
    parent: Annotated[
        str | None,
        arg(
            name="from",
            metavar="RUN[@STEP]",
            help="Begin from the whole state of another run, at that step, with this experiment's schedule.",
        ),
    ] = None,
    profile: Annotated[Flag, arg(help="Write a trace of ten steps into the run folder.")] = False,
    json: Json = False,
) -> int:
    """Train an experiment. The same command continues a run that was stopped, from its newest checkpoint.

    From Python: `cnn_jax.train`.
    """
    config = replace(config, model=replace(config.model, options={**config.model.options, **(options or {})}))
    from cnn_jax.parallel import is_writer
    from cnn_jax.runs import train

    result = train(without_defaults(config), workdir, profile=profile, parent=parent)
    if not is_writer():
        return 0
    test = None if result.test is None else {"split": "test", "step": result.step, **result.test}
    figures = {"run": str(result.run), "step": result.step, "test": test}

    def show() -> None:
        if test is None:
            print(f"{result.run}: {result.step} steps are done; its test split was not looked at.")
        else:
            print_evaluation(test, title=str(result.run), most=_WORST)
        print(f"pictures: {result.run / 'curves.png'}, {result.run / 'predictions.png'}")

    return print_figures(figures, json, show)


def evaluate(
    run: RunFolder,
    /,
    split: Annotated[str, arg(help="train, validation or test.")] = "test",
    step: Step = "latest",
    data: Annotated[OtherData, arg(name="data")] = OtherData(),
    predictions: Annotated[
        Path | None, arg(metavar="FILE", help="Write id, label and probabilities of every example there: .csv or .npz.")
    ] = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Evaluate a run: top-1, top-5, loss, NLL, Brier score and calibration, also of each class.

    With --data…, on other data that have the run's classes, beside its own. From Python: `cnn_jax.evaluate`.
    """
    from cnn_jax.runs import evaluate

    figures = evaluate(
        run, split=split, step=step, data=data, predictions=predictions, trust_code=trust_code, quiet=False
    )
    return print_figures(figures, json, lambda: print_evaluation(figures, title=str(run)))


def verify(
    run: RunFolder,
    /,
    first: Annotated[int | None, arg(help="A saved step, or 0; the one before the last when not given.")] = None,
    last: Annotated[int | None, arg(help="A saved step; the newest when not given.")] = None,
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Train a part of a run again, from one checkpoint to the next, and say whether the bits agree.

    From Python: `cnn_jax.verify`.
    """
    from cnn_jax.runs import verify

    figures = verify(run, first=first, last=last, trust_code=trust_code, quiet=False)

    def show() -> None:
        what = f"{run}: trained from step {figures['first']} to {figures['last']} again"
        if figures["equal"]:
            print(f"{what}: all {figures['arrays']} arrays agree to the bit.")
        else:
            names = figures["differing"]
            print(f"{what}: {len(names)} of {figures['arrays']} arrays differ, {names[0]} first.")
        for name, (there, here) in figures["environment"].items():
            print(f"another environment: {name} {there!r} there, {here!r} here")

    print_figures(figures, json, show)
    return 0 if figures["equal"] else 1


def diff(left: RunFolder, right: RunFolder, /, json: Json = False) -> int:
    """Show which configuration keys, versions and devices differ between two runs.

    From Python: `cnn_jax.diff_runs`.
    """
    from cnn_jax.runs import diff_runs

    rows = diff_runs(left, right)

    def show() -> None:
        if not rows:
            print("The two runs are the same experiment in the same environment.")
        for key, (a, b) in rows.items():
            print(f"{key}: {a!r} → {b!r}")

    return print_figures(rows, json, show)
