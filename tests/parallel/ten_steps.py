"""Run by test_invariance in a process of its own: `ten_steps.py DEVICES DTYPE RATE [KEY=VALUE …]`.

Trains resnet20_cifar for ten steps under every strategy and prints, as JSON by strategy, the losses, the first step's
gradients (by the change of the parameters under plain descent) and a digest of the batches.
"""

import hashlib
import json
import os
import sys

devices, dtype, rate, *changes = sys.argv[1:]
# Less optimised programs compile in a third of the time.
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=1"

import jax  # noqa: E402
import numpy as np  # noqa: E402

from cnn_jax.config import from_flat  # noqa: E402
from cnn_jax.data import train_batches  # noqa: E402
from cnn_jax.training.session import open_session, precision  # noqa: E402

STEPS, BATCH = 10, 32


def run(strategy: str) -> dict:
    config = from_flat(
        {
            "model.name": "resnet20_cifar",
            "model.dtype": dtype,
            "model.conv": "xla",  # compiles sooner
            "model.options.width": 0.25,
            "data.batch_size": BATCH,
            "data.augment": ["pad_crop(1)", "horizontal_flip()"],
            "optim.learning_rate": float(rate) * 4,  # at batch 256
            "optim.schedule": "constant",
            "optim.momentum": 0.0,
            "optim.nesterov": False,
            "optim.weight_decay": 0.0,
            "train.steps": STEPS,
            "parallel.strategy": strategy,
        }
        | {key: json.loads(value) for key, value in (change.split("=") for change in changes)}
    )
    session = open_session(config)
    assert session.layout.num_devices == int(devices)
    step = session.compile_train_step()
    state = session.fresh_tree()["state"]
    batches = train_batches(session.dataset("train"), BATCH, seed=0, rows=session.layout.rows(BATCH))
    losses, digest = [], hashlib.sha256()
    before = jax.device_get(state.params)
    for number in range(STEPS):
        batch = session.layout.put(next(batches))
        for key in sorted(batch):
            digest.update(np.ascontiguousarray(batch[key]).tobytes())
        state, metrics = step(state, batch)
        losses.append(float(metrics.loss.compute()))
        if number == 0:
            moved = jax.tree.map(np.subtract, before, jax.device_get(state.params))
            gradient = np.concatenate([g.ravel() for g in jax.tree.leaves(moved)]) / float(rate)
    stats = np.concatenate([np.ravel(s) for s in jax.tree.leaves(jax.device_get(state.batch_stats))] or [np.zeros(1)])
    return {
        "losses": losses,
        "gradient": gradient.tolist()[::97],
        "batches": digest.hexdigest(),
        "statistics": stats.tolist()[::31],
    }


with precision(dtype):
    print(json.dumps({strategy: run(strategy) for strategy in ("jit", "pmap", "fsdp")}))
