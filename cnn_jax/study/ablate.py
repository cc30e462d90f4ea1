"""An ablation from its file to its table."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn_jax.config import ConfigError
from cnn_jax.paths import local_path
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.runs.folder.metrics_file import read_test_line
from cnn_jax.runs.folder.predictions import Predictions, read_predictions
from cnn_jax.runs.trainer import training_events
from cnn_jax.study.ablation import Study, load_study
from cnn_jax.study.run import Entry, entries, run_study
from cnn_jax.study.table import Right, Row, compare, markdown, note


@dataclass(frozen=True)
class StudyResult:
    """What `ablate` returns.

    Attributes:
      folder: of the study.
      runs: every run with its state.
      rows: of the table; empty where a run is missing, and the study is not all done.
    """

    folder: Path
    study: Study
    runs: tuple[Entry, ...]
    rows: tuple[Row, ...]


def ablate(
    file: Path | str,
    workdir: Path | str | None = None,
    *,
    dry_run: bool = False,
    report: Callable[[Entry, Counter[str]], None] = lambda entry, counts: None,
) -> StudyResult:
    """Trains what is missing of an ablation, and compares its arms.

    Every run is an ordinary run folder, `WORKDIR/ARM/seed-N`, so that a study that is stopped goes on where it stood,
    and several of these commands may work on one study. The table lies in `WORKDIR/table.md`.

    Args:
      file: an experiment file with `ablation()`.
      workdir: None is `studies/` with the file's name.
      dry_run: look at what there is, and train nothing.
      report: is called at the end of each run, with how many there are in each state.

    Raises:
      ConfigError: for a study that makes no sense, naming what is wrong.
      Stopped: as `train`.
    """
    study = load_study(file)
    place = Path("studies") / study.name if workdir is None else local_path(workdir, "--workdir")
    failed: dict[Path, Entry] = {}
    if not dry_run:
        for entry in run_study(study, place, lambda config, folder: deque(training_events(config, folder), maxlen=0)):
            if entry.state == "failed":
                failed[entry.folder] = entry
            report(entry, _counts(study, place, failed))
    found = tuple(failed.get(entry.folder, entry) for entry in entries(study, place))
    rows: tuple[Row, ...] = ()
    if all(entry.state in ("finished", "failed") for entry in found):
        rows = tuple(compare(_values(study, found), _right(study, found)))
    if rows and not dry_run:
        ablation = study.ablation
        text = f"# {ablation.question}\n\n{markdown(rows, ablation.metric)}\n{note(ablation.metric)}\n"
        write_atomically(place / "table.md", text)
    return StudyResult(place, study, found, rows)


def _counts(study: Study, place: Path, failed: dict[Path, Entry]) -> Counter[str]:
    return Counter("failed" if e.folder in failed else e.state for e in entries(study, place))


def _values(study: Study, found: tuple[Entry, ...]) -> dict[str, dict[int, float]]:
    """The primary metric of every finished run."""
    values: dict[str, dict[int, float]] = {arm: {} for arm in study.arms}
    for entry in found:
        line = read_test_line(entry.folder) if entry.state == "finished" else None
        if line is not None:
            values[entry.arm][entry.seed] = line[study.ablation.metric]
    return values


def _right(study: Study, found: tuple[Entry, ...]) -> Right | None:
    """Which test examples each finished run is right about, where that is what the primary metric counts.

    Raises:
      ConfigError: where the runs have met different examples, which nothing pairs.
    """
    ranks = {"top1": 1, "top5": 5}.get(study.ablation.metric)
    if ranks is None:
        return None
    right: dict[str, dict[int, np.ndarray]] = {arm: {} for arm in study.arms}
    first: Predictions | None = None
    for entry in found:
        said = read_predictions(entry.folder) if entry.state == "finished" else None
        if said is None:
            continue
        first = first or said
        if not np.array_equal(said.label, first.label):
            raise ConfigError(
                f"`{entry.folder}` was tested on other examples than the runs before it ({len(said.label)} and "
                f"{len(first.label)}, or with other labels), so arms cannot be paired; give all one test split."
            )
        right[entry.arm][entry.seed] = (said.classes[:, :ranks] == said.label[:, None]).any(1)
    return right
