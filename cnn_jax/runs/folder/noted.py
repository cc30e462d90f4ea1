"""Which checkpoints a run has saved, as its event file notes: so one that was removed or renamed is missed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnn_jax.runs.folder.events import EventWriter, Record, read_records

_FOLDER = "checkpoints/"


def saved_steps(records: Sequence[Record]) -> list[int]:
    """The steps noted as saved, in the order of the notes; a run that went back to a step notes it again."""
    paths = [r.event.session_log.checkpoint_path for r in records if r.event]
    return [int(path.removeprefix(_FOLDER)) for path in paths if path.startswith(_FOLDER)]


def missing_newest(directory: Path, present: Sequence[int]) -> str | None:
    """A sentence where the newest checkpoint of a run folder is gone; None where it is there, or nothing is known.

    Args:
      present: the steps of the checkpoints that are there, in ascending order.
    """
    noted = saved_steps(read_records(directory)[0])
    if not noted or not present or noted[-1] <= present[-1]:
        return None
    return (
        f"checkpoint {noted[-1]} in {directory / _FOLDER.rstrip('/')} is gone: {EventWriter.FILE_NAME} notes that it "
        f"was saved. The newest that is there is of step {present[-1]}."
    )


def missing_best(directory: Path, present: Mapping[int, float]) -> str | None:
    """A sentence where a checkpoint better than all that are there is gone; else None.

    Args:
      present: the validation top-1 of the checkpoints that are there, by step.
    """
    records, _ = read_records(directory)
    lines = [json.loads(r.line) for r in records if r.line]
    measured = {line["step"]: line.get("top1") for line in lines if line["split"] == "validation"}
    noted = {step: top1 for step in saved_steps(records) if (top1 := measured.get(step)) is not None}
    # One that replaced an equal may be there before it is noted, so equals are told apart by their steps.
    best = max(noted, key=lambda step: (noted[step], step), default=None)
    if best is None or (noted[best], best) <= max(((top1, step) for step, top1 in present.items()), default=(-1.0, 0)):
        return None
    return (
        f"the best checkpoint, {best} in {directory / _FOLDER.rstrip('/')}, is gone: {EventWriter.FILE_NAME} notes "
        f"that it was saved, and its validation top-1 was {noted[best]:.2%}."
    )
