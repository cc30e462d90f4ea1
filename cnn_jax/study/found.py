"""What a search found: its trials, drawn and in a table, and the experiment with the best values in it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnn_jax.config import Config
from cnn_jax.runs.console.markdown import markdown_table
from cnn_jax.runs.console.pictures import save_picture
from cnn_jax.runs.folder.files import write_atomically
from cnn_jax.study.search import Range, SearchPlan


@dataclass(frozen=True)
class Trial:
    """A run of a search.

    Attributes:
      number: within its round, from 0.
      values: by key.
      measured: the search's metric on the validation split, after the last step; infinitely bad where it diverged.
    """

    round: int
    number: int
    values: Mapping[str, float]
    folder: Path
    measured: float = math.nan

    def __str__(self) -> str:
        values = ", ".join(f"{key} {value:g}" for key, value in self.values.items())
        return f"{values}: {self.shown}"

    @property
    def shown(self) -> str:
        """What it gave, for people."""
        return f"{self.measured:.4g}" if math.isfinite(self.measured) else "diverged"


@dataclass(frozen=True)
class Round:
    """The trials of one round, from 1, and where they were looked for."""

    number: int
    space: Mapping[str, Range]
    trials: tuple[Trial, ...]


def best_of(plan: SearchPlan, rounds: Sequence[Round]) -> Trial:
    """The trial with the best value; of several, the first."""
    sign = -1 if plan.search.more_is_better else 1
    return min((trial for round in rounds for trial in round.trials), key=lambda trial: sign * trial.measured)


def draw_round(plan: SearchPlan, place: Path, rounds: Sequence[Round]) -> Path:
    """The last of some rounds: the metric over each value, and where the next round looks, into `round-N.png`.

    A cross at the top is a trial that diverged; the grey points are those of earlier rounds.
    """
    from matplotlib.figure import Figure

    shown, best, search = rounds[-1], best_of(plan, rounds), plan.search
    following = plan.space(shown.number + 1, best.values) if shown.number < search.rounds else {}
    figure = Figure(figsize=(4.6 * len(shown.space), 3.6), layout="constrained")
    panels = figure.subplots(1, len(shown.space), squeeze=False)[0]
    for axes, (key, span) in zip(panels, shown.space.items(), strict=True):
        trials = [(t, "tab:blue" if r is shown else "0.7") for r in rounds for t in r.trials]
        trials = [(t, color) for t, color in trials if span.low <= t.values[key] <= span.high]
        for trial, color in trials:
            if math.isfinite(trial.measured):
                axes.plot(trial.values[key], trial.measured, "o", ms=5, color=color)
            else:
                axes.plot(trial.values[key], 0.97, "x", color=color, transform=axes.get_xaxis_transform())
        ring = {"ms": 11, "mfc": "none", "color": "tab:red"}
        axes.plot(best.values[key], best.measured, "o", label=f"best: {best.values[key]:g}", **ring)
        if following:
            axes.axvspan(following[key].low, following[key].high, color="tab:red", alpha=0.1, label="the next round")
        axes.set(xscale="log", xlim=(span.low, span.high), xlabel=key, ylabel=f"validation {search.metric}")
        _plain_ticks(axes.xaxis, span.high / span.low)
        values = [trial.measured for trial, _ in trials if math.isfinite(trial.measured)]
        if not search.more_is_better and 0 < 10 * min(values) < max(values):
            axes.set_yscale("log")
            _plain_ticks(axes.yaxis, max(values) / min(values))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.suptitle(f"{plan.name}: round {shown.number} of {search.rounds}")
    return save_picture(figure, place / f"round-{shown.number}.png", dpi=120)


def _plain_ticks(axis: Any, ratio: float) -> None:
    """Numbers as they are written, at 1, 2 and 5 of each power of ten where a logarithmic axis has few of these."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 300 else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def write_found(plan: SearchPlan, place: Path, rounds: Sequence[Round]) -> Path:
    """Writes the record, `search.md`, and the experiment with the best values in it, `best.py`, which is returned.

    The modules beside the experiment file that its own parts need are written beside it.
    """
    best, code = best_of(plan, rounds), plan.search.base.code
    write_atomically(place / "search.md", _record(plan, rounds, best))
    own = {} if code is None or code.digest is None else code.sources
    for name, content in own.items():
        if code is not None and name != code.path.name:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place / name, content)
    made = _config_source(plan.found(best.values))
    if own and code is not None:
        text = f"{code.content.decode().rstrip()}\n\n\n# Found by `cnn-jax tune`: {best}, as search.md tells.\n{made}"
    else:
        measure = f"The best validation {plan.search.metric} of the search, {best.shown}: see search.md."
        text = f'"""{plan.name} with what `cnn-jax tune` found.\n\n{measure}\n"""\n\n{made}'
    write_atomically(place / "best.py", text)
    return place / "best.py"


def _record(plan: SearchPlan, rounds: Sequence[Round], best: Trial) -> str:
    search = plan.search
    text = (
        f"# The search of {plan.name}\n\n"
        f"{search.rounds} rounds of {search.trials} trials, sampler {search.sampler}, seed {search.base.seed}; one run "
        f"each. Selected by the {search.metric} of the validation split after the last step; the test split was not "
        f"looked at. A trial that diverged counts as infinitely bad.\n\n"
        f"Best, in validation {search.metric}: {best} (round {best.round}, trial {best.number}).\n"
    )
    for round in rounds:
        ranges = "; ".join(f"{key} from {span.low:.3g} to {span.high:.3g}" for key, span in round.space.items())
        rows = [(str(t.number), *(f"{value:g}" for value in t.values.values()), t.shown) for t in round.trials]
        table = markdown_table(("trial", *round.space, f"validation {search.metric}"), rows)
        text += f"\n## Round {round.number}: {ranges}\n\n![](round-{round.number}.png)\n\n{table}"
    return text


def _config_source(config: Config) -> str:
    """Python that makes a configuration, without the values that are its defaults."""
    names, lines = ["Config"], []
    for key, value in _departures(config).items():
        if dataclasses.is_dataclass(value):
            names.append(type(value).__name__)
            inner = "".join(f"            {name}={given!r},\n" for name, given in _departures(value).items())
            lines.append(f"        {key}={names[-1]}(\n{inner}        ),\n")
        else:
            lines.append(f"        {key}={value!r},\n")
    imported = f"from cnn_jax import {', '.join(sorted(names))}"
    return f"{imported}\n\n\ndef config() -> Config:\n    return Config(\n{''.join(lines)}    )\n"


def _departures(section: Any) -> dict[str, Any]:
    default = type(section)()
    values = {f.name: getattr(section, f.name) for f in dataclasses.fields(section) if f.name != "code"}
    return {key: value for key, value in values.items() if value != getattr(default, key)}
