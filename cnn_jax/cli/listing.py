"""The command `runs`: a line a run, for people, for spreadsheets and for programs."""

import sys
from collections import Counter
from csv import writer
from json import dumps
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from cnn_jax.cli.flags import Flag, Json, print_figures
from cnn_jax.cli.output import console
from cnn_jax.config import ConfigError

Folders = Annotated[
    tuple[Path, ...], arg(metavar="FOLDER…", help="Run folders, or folders that hold some; none is `runs`.")
]

_LONG = 24  # characters of a value that a table shows; digests are cut to their first eight
_PIPE_WIDTH = 10_000  # characters: a file has room


def show_runs(
    folders: Folders = (),
    /,
    csv: Annotated[Flag, arg(help="Print comma-separated values, with all that a key holds.")] = False,
    json: Json = False,
) -> int:
    """List runs, one a line: the keys that tell them apart, state, step, seconds and accuracies.

    From Python: `cnn_jax.list_runs`.
    """
    from cnn_jax.runs import list_runs

    if csv and json:
        raise ConfigError("`--csv` and `--json` are two forms of one answer; give one of them.")
    rows = list_runs(*folders)
    return print_figures({"runs": rows}, json, lambda: _print_csv(rows) if csv else _print_table(rows))


def _print_csv(rows: list[dict[str, Any]]) -> None:
    keys = [key for key in _keys(rows) if key != "seed"]  # which has a column of its own
    figures = ("state", "step", "steps", "seconds", "seed", "validation_top1", "test_top1")
    table = writer(sys.stdout, lineterminator="\n")
    table.writerow(["run", "identity", *figures, *keys, "reason"])
    for row in rows:
        values = [row["run"], row["identity"], *(row[name] for name in figures)]
        differs = [_as_text(row["differs"][key]) if key in row["differs"] else "" for key in keys]
        table.writerow([*values, *differs, row.get("reason", "")])


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        print("no runs found")
        return
    keys = [key for key in _keys(rows) if key != "seed"]  # which has a column of its own
    table = Table("run", *_short_names(keys), "seed", "state", "step", "seconds", "validation", "test", box=None)
    for column in table.columns[len(keys) + 1 :]:
        column.justify, column.no_wrap = "right", True
    for column in table.columns[: len(keys) + 1]:
        column.overflow = "fold"
    rows = sorted(rows, key=lambda row: [*(_as_text(row["differs"].get(key)) for key in keys), row["seed"] or 0])
    for row in rows:
        differs = [_short(row["differs"].get(key)) if key in row["differs"] else "" for key in keys]
        top1 = ["" if row[name] is None else f"{row[name]:.2%}" for name in ("validation_top1", "test_top1")]
        steps = "" if row["steps"] is None else f"{row['step']}/{row['steps']}"
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.0f}"
        seed = "" if row["seed"] is None else str(row["seed"])
        table.add_row(row["run"], *differs, seed, row["state"], steps, seconds, *top1)
    out = console()
    if not sys.stdout.isatty():
        out.width = _PIPE_WIDTH
    out.print(table)
    for row in rows:
        if "reason" in row:
            print(f"{row['run']}: {row['reason']}")


def _keys(rows: list[dict[str, Any]]) -> list[str]:
    """The keys in which the runs differ, in the order of the configuration."""
    return list(dict.fromkeys(key for row in rows for key in row["differs"]))


def _short_names(keys: list[str]) -> list[str]:
    """`optim.learning_rate` is `learning_rate`, where no other key of the table ends so."""
    ends = [key if ": " in key else key.rpartition(".")[2] for key in keys]
    return [end if Counter(ends)[end] == 1 else key for key, end in zip(keys, ends, strict=True)]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _short(value: Any) -> str:
    shown = _as_text(value)
    if len(shown) == 64 and set(shown) <= set("0123456789abcdef"):
        return shown[:8]
    return shown if len(shown) <= _LONG else f"{shown[: _LONG - 3]}..."
