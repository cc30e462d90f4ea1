"""The commands about studies: ablate, tune, report."""

import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from cnn_jax.cli.flags import Flag, Json, TrustCode, check_range, print_figures
from cnn_jax.cli.output import console
from cnn_jax.config import ConfigError

if TYPE_CHECKING:
    from cnn_jax.study.ablate import StudyResult
    from cnn_jax.study.found import Trial
    from cnn_jax.study.tune import Tuned


def ablate(
    file: Annotated[Path, arg(metavar="FILE", help="A Python file whose ablation() returns a cnn_jax.Ablation.")],
    /,
    workdir: Annotated[
        Path | None, arg(metavar="DIR", help="The folder of the study; None is studies/ with the file's name.")
    ] = None,
    jobs: Annotated[
        int | None, arg(help="Runs at a time, each with a GPU or its share of the cores; None is one a GPU, or one.")
    ] = None,
    dry_run: Annotated[
        Flag, arg(help="Say which runs are missing, their steps and how long they may take, and train nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Train what is missing of an ablation, every arm with every seed, and compare the arms.

    The same command continues a study; several of them may work on one folder.

    From Python: `cnn_jax.ablate`.
    """
    from cnn_jax.cli.study.display import StudyDisplay
    from cnn_jax.study.ablate import ablate

    check_range("--jobs", jobs, 1, 1024)
    with StudyDisplay(quiet=dry_run) as display:
        result = ablate(file, workdir, jobs=jobs, dry_run=dry_run, watch=display.watch)
    status = print_figures(_figures(result), json, lambda: _show(result))
    return status or int(not dry_run and not all(run.state == "finished" for run in result.runs))


def report(
    folders: Annotated[
        tuple[Path, ...],
        arg(metavar="FOLDER…", help="A study's folder; or run folders, and folders that hold some, the base's first."),
    ],
    /,
    out: Annotated[
        Path | None, arg(metavar="FILE", help="The file to write; None is `report` with the ending of the format.")
    ] = None,
    format: Annotated[
        Literal["html", "markdown", "latex", "csv", "png"],
        arg(help="html is a page that reads offline; png the plot of the differences; the others are the table."),
    ] = "html",
    trust_code: TrustCode = False,
    json: Json = False,
) -> int:
    """Put what runs show on one page that reads offline, or into a table or a plot for a paper.

    The verdicts, differences, learning curves, mistakes, settings and cost of a study, a run or any runs.

    From Python: `cnn_jax.report`.
    """
    from cnn_jax.study.report.write import report

    if not folders:
        raise ConfigError("report needs a folder of a study, or of runs.")
    made = report(folders, out, format=format, trust_code=trust_code)
    states = dict(made.subject.states)
    figures = {"report": str(made.file), "states": states, "arms": [asdict(row) for row in made.rows]}

    def show() -> None:
        counts = ", ".join(f"{number} {state}" for state, number in states.items())
        print(f"{made.file}: {made.subject.question} {len(made.subject.runs)} runs: {counts}")

    return print_figures(figures, json, show)


def _figures(result: "StudyResult") -> dict[str, Any]:
    ablation = result.study.ablation
    return {
        "study": str(result.folder),
        "question": ablation.question,
        "metric": ablation.metric,
        "runs": [{"run": str(e.folder), "arm": e.arm, "seed": e.seed, "state": e.state} for e in result.runs],
        "arms": [asdict(row) for row in result.rows],
        "report": None if result.report is None else str(result.report),
    }


def _show(result: "StudyResult") -> None:
    from rich.table import Table

    from cnn_jax.study.plan import plan
    from cnn_jax.study.table import HEAD, cells, note

    metric, out = result.study.ablation.metric, console()
    out.width = out.width if sys.stdout.isatty() else 160
    print(f"{result.folder}: {result.study.ablation.question}")
    counts = Counter(run.state for run in result.runs)
    print(f"{len(result.runs)} runs: {', '.join(f'{number} {state}' for state, number in counts.items())}")
    for run in result.runs:
        if run.why:
            print(f"{run.folder}: {run.why}")
    if not result.rows:
        left = plan(result.runs, result.jobs)
        time = "" if left.seconds is None else f", about {left.seconds:.0f} s"
        print(f"To do: {left.runs} runs of {left.steps:,} steps in all{time}.")
        print("The test figures are compared when all runs are done.")
        return
    table = Table(*HEAD, box=None)
    for row in cells(result.rows, metric):
        table.add_row(*row)
    out.print(table)
    print(note(metric))
    if result.report is not None:
        print(f"report: {result.report}")


def tune(
    file: Annotated[Path, arg(metavar="FILE", help="A Python file whose search() returns a cnn_jax.Search.")],
    /,
    workdir: Annotated[
        Path | None, arg(metavar="DIR", help="The folder of the search; None is tuning/ with the file's name.")
    ] = None,
    json: Json = False,
) -> int:
    """Search for the values that are best on the validation split, from coarse to fine; test is never looked at.

    The same command continues a search; several of them may work on one folder.

    From Python: `cnn_jax.tune`.
    """
    from cnn_jax.study.tune import tune

    began = time.perf_counter()

    def report(trial: "Trial") -> None:
        seconds = time.perf_counter() - began
        print(f"round {trial.round}, trial {trial.number}: {trial}; {seconds:.0f} s", file=sys.stderr, flush=True)

    result = tune(file, workdir, report=report)
    return print_figures(_tuned_figures(result), json, lambda: _show_tuned(result))


def _tuned_figures(result: "Tuned") -> dict[str, Any]:
    def figures(trial: "Trial") -> dict[str, Any]:
        return {"run": str(trial.folder), "values": dict(trial.values), result.metric: trial.measured}

    return {
        "search": str(result.folder),
        "experiment": str(result.file),
        "metric": result.metric,
        "rounds": [[figures(trial) for trial in round.trials] for round in result.rounds],
        "best": figures(result.best),
    }


def _show_tuned(result: "Tuned") -> None:
    for round in result.rounds:
        ranges = "; ".join(f"{key} from {span.low:.3g} to {span.high:.3g}" for key, span in round.space.items())
        print(f"round {round.number}: {ranges}")
        for trial in round.trials:
            print(f"  trial {trial.number}: {trial}")
    print(f"best, in validation {result.metric}: {result.best}")
    print(f"{result.folder / 'search.md'} is the record; train it with\n\n    cnn-jax train {result.file}\n")
