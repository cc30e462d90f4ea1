"""What a report is about: runs by arm and seed, as their folders tell; nothing in them is changed, no code is run."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnn_jax.config import SeedsConfig, key_differences
from cnn_jax.paths import local_path
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.folder.stored import Run, RunError, read_run
from cnn_jax.runs.listing import list_runs
from cnn_jax.study.run import run_state
from cnn_jax.study.stored import StoredStudy, read_study

_ENDED = ("finished", "failed")
_LONG = 40  # characters of an arm's name that is made of its keys


@dataclasses.dataclass(frozen=True)
class ArmRun:
    """A run of an arm."""

    folder: Path
    seed: int
    state: str
    """As in `cnn_jax.study.run.Entry`."""
    why: str
    """Of one that is stale or failed: a sentence."""
    run: Run | None = None
    """None where there is none, or none that can be read."""
    lines: Sequence[Mapping[str, Any]] = ()
    """Of its metrics."""

    @property
    def test(self) -> Mapping[str, Any] | None:
        """The values of the test split; None of a run that is not finished."""
        found = [line for line in self.lines if line["split"] == "test"]
        return found[-1] if found and self.state == "finished" else None


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a report is about."""

    name: str
    question: str
    metric: str
    arms: Mapping[str, Sequence[ArmRun]]
    """The base first."""
    is_study: bool
    """Whether question, base and metric were named before the runs."""

    @property
    def base(self) -> str:
        """The arm that the others are compared with."""
        return next(iter(self.arms))

    @property
    def runs(self) -> list[ArmRun]:
        """Of all arms."""
        return [run for runs in self.arms.values() for run in runs]

    def readable(self, arm: str) -> list[Run]:
        """The runs of an arm that there are and that can be read."""
        return [found.run for found in self.arms[arm] if found.run is not None]

    @property
    def states(self) -> Counter[str]:
        """How many runs are in which state."""
        return Counter(run.state for run in self.runs)

    @property
    def is_done(self) -> bool:
        """Whether test figures may be looked at: no run is left to be trained."""
        return all(run.state in _ENDED for run in self.runs)

    def values(self, arm: str) -> dict[int, float]:
        """The metric of the finished runs of an arm, by seed.

        Raises:
          RunError: where a run does not hold the metric.
        """
        found = {}
        for run in self.arms[arm]:
            if run.test is not None:
                value = run.test.get(self.metric)
                if not isinstance(value, (int, float)):
                    raise RunError(
                        f"the test line of `{run.folder}` has no number for {self.metric!r}; it is {value!r}."
                    )
                found[run.seed] = float(value)
        return found


def find_subject(folders: Sequence[Path | str]) -> Subject:
    """The study of a folder, or else the runs in and below folders.

    Args:
      folders: one that `cnn-jax ablate` made; or run folders, and folders of them, the base's first.

    Raises:
      RunError: where there is no run; for a study that cannot be read; for runs that cannot be compared.
    """
    places = [local_path(folder, "FOLDER") for folder in folders]
    if len(places) == 1 and (study := read_study(places[0])):
        return _of_study(study, places[0])
    rows = list_runs(*places)
    if not rows:
        raise RunError(f"no run lies in or below {', '.join(f'`{place}`' for place in places)}.")
    # `list_runs` sorts them all; the base is the first of the folder that was named first.
    order = {str(path): number for number, place in enumerate(places) for path in _below(place, rows)}
    rows.sort(key=lambda row: order.get(row["run"], len(rows)))
    return _of_rows(rows, places)


def _below(place: Path, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [row["run"] for row in rows if Path(row["run"]).is_relative_to(place)]


def _of_study(study: StoredStudy, place: Path) -> Subject:
    arms: dict[str, list[ArmRun]] = {arm: [] for arm in study.arms}
    for (arm, seed), config in study.configs.items():
        folder = place / arm / f"seed-{seed}"
        state, why = run_state(folder, config, study.code[arm])
        found = ArmRun(folder, seed, state, why)
        arms[arm].append(found if state in ("waiting", "stale") else _read(found))
    return Subject(study.name, study.question, study.metric, arms, is_study=True)


def _read(found: ArmRun) -> ArmRun:
    try:
        run, lines = read_run(found.folder), read_metrics(found.folder)
    except RunError as error:
        return dataclasses.replace(found, state="failed", why=str(error))
    return dataclasses.replace(found, run=run, lines=lines)


def _of_rows(rows: Sequence[Mapping[str, Any]], places: Sequence[Path]) -> Subject:
    groups: dict[str, list[tuple[ArmRun, Run]]] = {}
    for row in rows:
        state = "failed" if row["state"] == "diverged" else row["state"]
        found = _read(ArmRun(Path(row["run"]), row["seed"] or 0, state, "it diverged" if state == "failed" else ""))
        if found.run is None or state == "unreadable":
            raise RunError(f"{found.why or row['reason']} Or name folders without that run.")
        groups.setdefault(_without_seed(found.run), []).append((found, found.run))
    _check_comparable(list(groups.values()))
    arms = {name: [run for run, _ in group] for name, group in _named(list(groups.values())).items()}
    name = ", ".join(place.resolve().name for place in places)
    question = f"What do {len(rows)} runs show?" if len(rows) > 1 else f"What does the run {name} show?"
    return Subject(name, question, "top1", arms, is_study=False)


def _without_seed(run: Run) -> str:
    return run.content.identity(dataclasses.replace(run.config, seed=0, seeds=SeedsConfig()))


def _named[T: Sequence[tuple[ArmRun, Run]]](groups: Sequence[T]) -> dict[str, T]:
    """Each group by the values of the keys that tell them apart, or else by where its runs lie."""
    configs = [dataclasses.replace(group[0][1].config, seed=0, seeds=SeedsConfig()) for group in groups]
    pairs = [key_differences(configs[0], config) for config in configs]
    base = {key: there for pair in pairs for key, (there, _) in pair.items()}
    names = []
    for group, pair in zip(groups, pairs, strict=True):
        values = base | {key: here for key, (_, here) in pair.items()}
        text = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())
        found, _ = group[0]
        folder = found.folder.resolve()
        where = folder.parent.name if folder.name == f"seed-{found.seed}" else folder.name
        names.append(text if 0 < len(text) <= _LONG else where)
    unique = (n if names.count(n) == 1 else f"{n} ({g[0][1].identity[:8]})" for n, g in zip(names, groups, strict=True))
    return dict(zip(unique, groups, strict=True))


def _check_comparable(groups: Sequence[Sequence[tuple[ArmRun, Run]]]) -> None:
    """Refuses runs that have one seed, and are one experiment but for that; and others that no example pairs."""
    tests: dict[str | None, Path] = {}
    for group in groups:
        seeds = [found.seed for found, _ in group]
        if len(set(seeds)) < len(seeds):
            raise RunError(
                f"`{group[0][0].folder}` and {len(group) - 1} others are one experiment but for their seeds, and some "
                "have the same `seed`: name folders so that each seed is there once."
            )
        found, run = group[0]
        tests.setdefault((run.content.data or {}).get("test"), found.folder)
    if len(tests) > 1:
        one, other = list(tests.values())[:2]
        raise RunError(f"`{one}` and `{other}` are tested on other examples, so nothing pairs them; report them apart.")
