"""An ablation from its file to its table."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from cnn_jax.paths import local_path
from cnn_jax.runs.folder.metrics_file import FILE_NAME, read_test_line
from cnn_jax.runs.machine.sharing import shared_programs
from cnn_jax.study.ablation import Study, load_study
from cnn_jax.study.pool import default_jobs, run_in_pool
from cnn_jax.study.predicted import read_predicted, right
from cnn_jax.study.report.write import MissingPackageError, report
from cnn_jax.study.run import Entry, Watch, entries, run_study, train_watched
from cnn_jax.study.stored import store_study, write_shared
from cnn_jax.study.table import Row, compare, document


@dataclass(frozen=True)
class StudyResult:
    """What `ablate` returns.

    Attributes:
      folder: of the study.
      jobs: runs at a time.
      runs: every run with its state.
      rows: of the table; empty where a run is missing, and the study is not all done.
      report: the page of the study; None where it is not done, or without the extra `report`.
    """

    folder: Path
    study: Study
    jobs: int
    runs: tuple[Entry, ...]
    rows: tuple[Row, ...]
    report: Path | None


def ablate(
    file: Path | str,
    workdir: Path | str | None = None,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    watch: Watch = lambda entry: None,
) -> StudyResult:
    """Trains what is missing of an ablation, and compares its arms.

    Every run is an ordinary run folder, `WORKDIR/ARM/seed-N`, or `WORKDIR/pretraining/seed-N`, so that a study that is
    stopped goes on where it stood, and several of these commands may work on one study. The table lies in
    `WORKDIR/table.md`, and the page of `report` in `WORKDIR/report.html`.

    Args:
      file: an experiment file with `ablation()`.
      workdir: None is `studies/` with the file's name.
      jobs: runs at a time, each in a process with a GPU or a share of the cores to itself; None is one a GPU, and on a
        CPU one, in this process.
      dry_run: look at what there is, and train nothing.
      watch: is told of each run as it is found, as it begins, as it goes on, and as it ends.

    Raises:
      ConfigError: for a study that makes no sense, naming what is wrong.
      Stopped: as `train`.
      OSError: where the disk is full.
    """
    study = load_study(file)
    place = Path("studies") / study.name if workdir is None else local_path(workdir, "--workdir")
    jobs = default_jobs() if jobs is None else jobs
    failed: dict[Path, Entry] = {}
    for entry in entries(study, place):
        watch(entry)
    if not dry_run:
        store_study(study, place)
        in_turn = run_study(study, place, lambda entry: train_watched(entry, watch))
        runs = in_turn if jobs == 1 else run_in_pool(study, place, Path(file), jobs, watch)
        with shared_programs(), contextlib.closing(runs):
            for entry in runs:
                if entry.state == "failed":
                    failed[entry.folder] = entry
                if jobs == 1:
                    watch(entry)
    found = tuple(failed.get(entry.folder, entry) for entry in entries(study, place))
    rows: tuple[Row, ...] = ()
    page = None
    if all(entry.state in ("finished", "failed") for entry in found):
        done = {(e.arm, e.seed): e.folder for e in found if e.state == "finished" and e.arm in study.arms}
        rows = tuple(compare(_values(study, found), right(read_predicted(done), study.ablation.metric)))
    if rows and not dry_run:
        write_shared(place / "table.md", document(study.ablation.question, rows, study.ablation.metric))
        page = _page(place, [entry for entry in found if entry.state == "finished"])
    return StudyResult(place, study, jobs, found, rows, page)


def _page(place: Path, finished: list[Entry]) -> Path | None:
    """The report of a study that is done, made anew where a run is newer; None without the extra that it needs."""
    page = place / "report.html"
    newest = max(((entry.folder / FILE_NAME).stat().st_mtime for entry in finished), default=0.0)
    if not page.exists() or page.stat().st_mtime < newest:
        try:
            report(place, page)
        except MissingPackageError:
            return None
    return page


def _values(study: Study, found: tuple[Entry, ...]) -> dict[str, dict[int, float]]:
    """The primary metric of every finished run."""
    values: dict[str, dict[int, float]] = {arm: {} for arm in study.arms}
    for entry in found:
        line = read_test_line(entry.folder) if entry.state == "finished" and entry.arm in values else None
        if line is not None:
            values[entry.arm][entry.seed] = line[study.ablation.metric]
    return values
