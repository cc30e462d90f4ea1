"""What a test compares of two run folders."""

import json

from cnn_jax.runs.folder.checkpoint import Checkpoints


def sums(run, step):
    """The checksums of every array of a checkpoint."""
    return Checkpoints(run / "checkpoints", read_only=True).manifest(step).sums


def lines(run, split=None):
    """The lines of metrics.jsonl, without times."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if not k.startswith("time/")} for r in rows if split in (None, r["split"])]
