"""What stands in the sections of a page, as text: nothing here is HTML, and all of it may come from strangers."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax import config as configuration
from cnn_jax.config import network_name
from cnn_jax.runs.folder.stored import Run
from cnn_jax.runs.machine.environment import flat_environment
from cnn_jax.study.report.subject import Subject
from cnn_jax.study.table import Row, percent_or_number, verdict


def facts(subject: Subject) -> list[str]:
    """What was run on what, each in a few words."""
    found = [run for arm in subject.arms for run in subject.readable(arm)]
    seeds = {run.seed for run in subject.runs}
    arms = f"{len(subject.arms)} arms, " if len(subject.arms) > 1 else ""
    named = "named before the runs" if subject.is_study else "taken for this page"
    networks = dict.fromkeys(network_name(run.config) for run in found)
    return [
        f"{_number(len(subject.runs), 'run')}: {arms}{_number(len(seeds), 'seed')}",
        f"metric: {subject.metric} of the test split, {named}",
        f"data: {', '.join(dict.fromkeys(str(run.config.data.name) for run in found)) or 'not known yet'}",
        f"network: {', '.join(networks) or 'not known yet'}",
    ]


def conclusions(rows: Sequence[Row], metric: str) -> list[dict[str, str]]:
    """What may be said of the arms, one sentence for each thing that may; none is larger than another."""
    said: dict[str, list[str]] = {}
    for row in rows[1:]:
        what = verdict(row, len(rows) - 1)
        shown = (
            "" if row.difference is None else f" ({with_minus(percent_or_number(row.difference.mean, metric, '+'))})"
        )
        said.setdefault(what, []).append(f"{row.arm}{shown}")
    titles = {"higher": f"Higher {metric} than the base", "lower": f"Lower {metric} than the base"}
    return [{"what": titles.get(what, _capital(what)), "arms": "; ".join(arms)} for what, arms in said.items()]


def with_minus(text: str) -> str:
    """Numbers with the sign that typesetters use."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", text)


def measures(subject: Subject) -> list[tuple[str, list[str]]]:
    """Every figure of the test split, as the mean over seeds, a column an arm."""
    by_arm = [[run.test for run in runs if run.test] for runs in subject.arms.values()]
    names = dict.fromkeys(k for tests in by_arm for test in tests for k, v in test.items() if isinstance(v, float))
    found = []
    for name in (n for n in names if not n.startswith("time/")):
        values = [[t[name] for t in tests if isinstance(t.get(name), float)] for tests in by_arm]
        found.append((name, [percent_or_number(float(np.mean(v)), name) if v else "" for v in values]))
    return found


def differences(subject: Subject) -> list[dict[str, Any]]:
    """For each arm the keys, derived numbers and code whose values are not the base's."""
    first = {arm: read[0] for arm in subject.arms if (read := subject.readable(arm))}
    base = first.pop(subject.base, None)
    if base is None:
        return []
    found = []
    for arm, run in first.items():
        pairs = configuration.difference(_settings(base), _settings(run)) | base.content.difference(run.content)
        rows = [(key, _value(a), _value(b)) for key, (a, b) in pairs.items() if key != "seed"]
        found.append({"arm": arm, "rows": rows})
    return found


def _settings(run: Run) -> dict[str, Any]:
    flat = {k: v for k, v in configuration.flatten(run.config).items() if k != "name" and not k.startswith("seeds.")}
    return flat | {"steps, as follows": run.derived.steps, "learning rate, as follows": run.derived.learning_rate}


def _value(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:  # a digest
        return value[:8]
    return "not set" if value is None else str(value)


def runs(subject: Subject, *, with_test: bool) -> list[dict[str, str]]:
    """Every run with its state, and with its test figure where that may be shown."""
    found = []
    for arm, all_runs in subject.arms.items():
        for run in all_runs:
            value = run.test.get(subject.metric) if with_test and run.test else None
            shown = percent_or_number(value, subject.metric) if isinstance(value, float) else ""
            row = {"arm": arm, "seed": str(run.seed), "state": run.state, "value": shown, "why": run.why}
            found.append(row | {"folder": str(run.folder)})
    return found


def environment(subject: Subject) -> dict[str, list[tuple[str, str]]]:
    """What all runs have in common of versions, machine and settings; and what differs between them."""
    flats = [flat_environment(run.environment) for arm in subject.arms for run in subject.readable(arm)]
    names = dict.fromkeys(name for flat in flats for name in flat)
    values = {name: list(dict.fromkeys(_value(flat.get(name)) for flat in flats)) for name in names}
    return {
        "common": [(name, v[0]) for name, v in values.items() if len(v) == 1 and v[0] != "not set"],
        "differing": [(name, " · ".join(v)) for name, v in values.items() if len(v) > 1],
    }


def commands(subject: Subject) -> list[dict[str, Any]]:
    """The commands that trained the runs, exactly as they were given, with the days and how many starts each had."""
    found: dict[str, list[str]] = {}
    for arm in subject.arms:
        for run in subject.readable(arm):
            for entry in run.record:
                found.setdefault(str(entry["command"]), []).append(str(entry["date"])[:10])
    return [{"command": c, "starts": len(d), "first": min(d), "last": max(d)} for c, d in found.items()]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
