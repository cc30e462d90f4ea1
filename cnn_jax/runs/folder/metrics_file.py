"""`metrics.jsonl`, and what to do where it or the event file beside it is damaged: each line stands in both."""

import dataclasses
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax.runs.folder.events import EventWriter, is_summary, read_records
from cnn_jax.runs.folder.stored import RunError

FILE_NAME = "metrics.jsonl"
SPLITS = ("train", "validation", "test")
COPY = "Put back a copy, or give another --workdir."


def read_metrics(directory: Path, remedy: str | None = None) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; a last line cut short by a kill is left out.

    Args:
      remedy: what to do about a damaged line; None says what a reader of the run can do.

    Raises:
      RunError: when a line is damaged, or is not the one that the event file beside it shows, naming it.
    """
    lines = _sound(directory, _lines(directory), remedy)
    path = directory / EventWriter.FILE_NAME
    shown = path.read_bytes() if path.exists() else b""
    if not all(line.encode() in shown for line in lines):  # else there is no need to check the events' checksums
        records = [record for record in read_records(directory)[0] if is_summary(record)]
        for number, (line, record) in enumerate(zip(lines, records, strict=False), 1):
            if record.line not in (None, line):
                raise _damaged(directory, number, "is not the one that the event file beside it shows", remedy)
    return [json.loads(line) for line in lines]


def read_test_line(directory: Path) -> dict[str, Any] | None:
    """The values of a run's test line, as `evaluate_split` gave them; None before there is one."""
    lines = [line for line in read_metrics(directory) if line["split"] == "test"]
    return {k: v for k, v in lines[-1].items() if k not in ("step", "split")} if lines else None


def crc32(lines: Sequence[str], before: int = 0) -> int:
    """Of lines of the file but for their times, so that equal runs have equal ones; after those that gave `before`."""
    for line in lines:
        values = {k: v for k, v in json.loads(line).items() if not k.startswith("time/")}
        before = zlib.crc32(json.dumps(values).encode(), before)
    return before


@dataclasses.dataclass(frozen=True)
class History:
    """The lines that a run had at a step, and how the two files differ from them."""

    lines: list[str]
    events_size: int
    """Bytes of the event file that are right."""
    events_lines: int
    """Lines that those bytes show."""
    said: list[str]
    """A sentence for each file that was damaged, rather than merely ahead of the checkpoint."""


def read_history(directory: Path, step: int, last: int, saved: tuple[int, int] | None) -> History:
    """The lines up to a step, from whichever of the two files is whole.

    Args:
      last: the step at which the run is finished.
      saved: how many lines the checkpoint of the step saw, and their CRC-32; None where it does not say (0.1's), or
        where there is none.

    Raises:
      RunError: when neither file has them, nor both together.
    """
    metrics = _lines(directory)
    every, broken = read_records(directory)
    records = [record for record in every if is_summary(record)]
    # A whole record of 0.1 does not carry its line, and stands for the one at its place.
    events = [r.line or (metrics[i] if r.event and i < len(metrics) else None) for i, r in enumerate(records)]
    if saved is None:
        good = [line for line in _sound(directory, metrics, COPY) if json.loads(line)["step"] <= step]
        count = len(good)
        if count < sum(r.event is not None and r.event.step <= step for r in records):
            raise RunError(
                f"`{directory / FILE_NAME}` has fewer lines up to step {step} than the event file shows, which "
                f"holds no lines of cnn_jax 0.1 to repair it from. Nothing was changed. {COPY}"
            )
    else:
        count = saved[0]
        length = max(len(metrics), len(events))
        mixed = [a or b for a, b in zip(_padded(events, length), _padded(metrics, length), strict=True)]
        good = next((found for lines in (events, metrics, mixed) if (found := _as_saved(lines, *saved))), [])
        if len(good) != count:
            raise RunError(
                f"`{directory / FILE_NAME}` and the event file beside it are both damaged: neither has the {count} "
                f"lines that the checkpoint of step {step} saw. Put back a copy of one of them, or give another "
                "--workdir."
            )
        if step == last:  # the test line follows the last checkpoint
            tails = [lines[count] for lines in (events, metrics) if _is_test_line(lines, count, step)]
            good = good + [line for line in tails if line][:1]
    same = next((i for i, line in enumerate(good) if i >= len(events) or events[i] != line), len(good))
    # Notes of saved checkpoints stay where they stand between the lines that stay.
    size = next((r.start for r in records[same:]), every[-1].end if every else 0)
    said = []
    if metrics[: len(good)] != good or (step == last and len(metrics) > len(good)):
        said.append(f"`{directory / FILE_NAME}` was damaged and has been repaired from the event file beside it.")
    if same < count or (step == last and (broken or len(records) > len(good))):
        said.append(f"`{directory / EventWriter.FILE_NAME}` was damaged and has been repaired from {FILE_NAME}.")
    return History(good, size, same, said)


def _lines(directory: Path) -> list[str | None]:
    """Every line, None for one that is no line of metrics; what follows the last newline was cut short by a kill."""
    path = directory / FILE_NAME
    return [_line(text) for text in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def _line(text: bytes) -> str | None:
    try:
        values = json.loads(text)
        sound = type(values["step"]) is int and values.pop("split") in SPLITS
        sound &= not any(isinstance(value, str) for value in values.values())
        return text.decode() if sound else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _remedy(directory: Path) -> str:
    """What to do about damaged lines, for a reader: 0.1's events do not carry the lines that they show."""
    records = [record for record in read_records(directory)[0] if is_summary(record)]
    if not records or any(record.event and not record.line for record in records):
        return COPY
    return "The training command of the run repairs it from the event file; else put back a copy."


def _damaged(directory: Path, number: int, what: str, remedy: str | None) -> RunError:
    path = directory / FILE_NAME
    return RunError(f"`{path}` is damaged: line {number} {what}. {remedy or _remedy(directory)}")


def _sound(directory: Path, lines: list[str | None], remedy: str | None) -> list[str]:
    for number, line in enumerate(lines, 1):
        if line is None:
            raise _damaged(directory, number, "is no line of metrics", remedy)
    return [line for line in lines if line is not None]


def _as_saved(lines: Sequence[str | None], count: int, checksum: int) -> list[str]:
    """The first `count` lines, where they are those that a checkpoint saw; else nothing."""
    found = [line for line in lines[:count] if line is not None]
    return found if len(found) == count and crc32(found) == checksum else []


def _padded(lines: list[str | None], length: int) -> list[str | None]:
    return lines + [None] * (length - len(lines))


def _is_test_line(lines: Sequence[str | None], index: int, step: int) -> bool:
    line = lines[index] if index < len(lines) else None
    return line is not None and json.loads(line)["split"] == "test" and json.loads(line)["step"] == step
