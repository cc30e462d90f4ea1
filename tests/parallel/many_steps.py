"""Run by `test_many_steps.py` in a process of its own: `many_steps.py DEVICES`.

Trains in float64 for twenty steps, under each strategy, with plain steps and in calls of some lengths; prints, as JSON
by strategy and length (0: plain), the checksums of the last checkpoint and the lines of training.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # where `small_network` lies
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={sys.argv[1]} --xla_backend_optimization_level=0"

from cnn_jax import ops, train
from cnn_jax.config import from_flat
from cnn_jax.runs.folder.checkpoint import Checkpoints

STEPS = 20
CONFIG = {
    "model.name": "small_network:Small",
    "model.dtype": "float64",
    "model.conv": "xla",
    "data.batch_size": 32,
    "data.augment": ["pad_crop(1)"],
    "optim.learning_rate": 0.8,
    "train.steps": STEPS,
    "train.test": "never",
} | dict.fromkeys(("train.log_every", "train.eval_every", "train.checkpoint_every"), STEPS)

found: dict[str, dict[int, object]] = {}
for strategy in ("jit", "pmap", "fsdp"):
    found[strategy] = {}
    for count in (0, 1, 7, STEPS):
        changes = {"parallel.strategy": strategy, "train.steps_per_call": count or None}
        with tempfile.TemporaryDirectory() as folder, ops.context(platform="cuda" if count else "cpu"):
            train(from_flat(CONFIG | changes), folder)
            sums = Checkpoints(Path(folder) / "checkpoints", read_only=True).manifest(STEPS).sums
            lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
        kept = [{k: v for k, v in line.items() if isinstance(v, float) and "time/" not in k} for line in lines]
        found[strategy][count] = {"sums": sums, "lines": kept}
print(json.dumps(found))
