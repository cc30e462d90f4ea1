"""Run by the tests in processes of its own: `ten_steps.py STRATEGIES MODEL DEVICES DTYPE RATE [KEY=VALUE …]`.

Trains a network on the digits for ten steps under each strategy and prints, as JSON by strategy, the losses,
samples of the first step's gradient, of the last running statistics and of what the network then says of the
validation examples, a digest of every row of every batch,
augmented, the names of the messages between devices in a step, and the share of the state on one device.
With TEN_STEPS_OF=PORT,COUNT,ID in the environment it is one of several processes.
"""

import hashlib
import itertools
import json
import os
import re
import sys
from pathlib import Path

strategies, model, devices, dtype, rate, *changes = sys.argv[1:]
# Programs that are not optimised compile in a third of the time.
sys.path.append(str(Path(__file__).parents[1]))  # where `small_network` lies
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"

import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

from cnn_jax.config import from_flat  # noqa: E402
from cnn_jax.data import apply_augment, parse_augment, train_batches  # noqa: E402
from cnn_jax.parallel import joined  # noqa: E402
from cnn_jax.runs.evaluation import answers  # noqa: E402
from cnn_jax.runs.parts import resolve_parts  # noqa: E402
from cnn_jax.runs.session import open_session, precision  # noqa: E402

STEPS, BATCH = 10, 32
AUGMENT = ["pad_crop(1)", "horizontal_flip()"]
CONFIG = {
    "model.name": model,
    "model.dtype": dtype,
    "model.conv": "xla",  # compiles sooner
    "data.batch_size": BATCH,
    "data.augment": AUGMENT,
    "optim.learning_rate": float(rate) * 256 / BATCH,
    "optim.schedule": "constant",
    "optim.arguments.momentum": 0.9,
    "optim.arguments.nesterov": False,
    "optim.weight_decay": 0.0,
    "train.steps": STEPS,
}
if ":" not in model:
    CONFIG["model.options.width"] = 0.25 if model == "resnet8_cifar" else 1.0
CONFIG |= {key: json.loads(value) for key, value in (change.split("=") for change in changes)}


MESSAGE = re.compile(r" (?:all-reduce|all-gather|reduce-scatter)\(.*op_name=\"([^\"]*)\"")


def rows_of(batch: dict) -> list[str]:
    """A digest of each of this process's rows, after augmentation."""
    local = {k: np.asarray(v) for k, v in batch.items()}
    images = jax.jit(apply_augment, static_argnums=0, static_argnames="seed")(
        parse_augment(AUGMENT), local["image"], seed=0, epoch=local["epoch"], index=local["index"]
    )
    fields = [np.asarray(images), local["label"], local["index"], local["epoch"]]
    return [hashlib.sha256(b"".join(f[i].tobytes() for f in fields)).hexdigest()[:8] for i in range(len(images))]


def sample(tree: object, every: int) -> list[float]:
    """Some of the numbers of a tree of arrays."""
    leaves = [np.ravel(leaf) for leaf in jax.tree.leaves(tree)] or [np.zeros(1)]
    return np.concatenate(leaves)[::every].tolist()


def run(strategy: str) -> dict:
    session = open_session(resolve_parts(from_flat(CONFIG | {"parallel.strategy": strategy})))
    layout = session.layout
    assert layout.num_devices == int(devices) * jax.process_count()
    compiled, compile = [], layout.compile
    layout.compile = lambda *arguments, **keywords: compiled.append(compile(*arguments, **keywords)) or compiled[-1]
    step = session.compile_train_step()
    state = session.drawn_state()
    leaves = jax.tree.leaves(state)
    share = sum(leaf.addressable_shards[0].data.size for leaf in leaves) / sum(leaf.size for leaf in leaves)
    read = layout.replicated_jit(lambda tree: tree)  # a sharded array can be read only where it lies
    losses, rows, gradient = [], [], None
    batches = train_batches(session.dataset("train"), BATCH, seed=0, rows=layout.rows(BATCH))
    for batch in itertools.islice(batches, STEPS):
        rows.append(rows_of(batch))
        carry, _ = step(session.carry(state), layout.put(batch))
        state = carry["state"]
        losses.append(float(carry["window"].loss.compute()))
        if gradient is None:  # what the momentum is after one step
            gradient = sample(jax.device_get(read(optax.tree_utils.tree_get(state.opt_state, "trace"))), 97)
    statistics = sample(jax.device_get(read(state.batch_stats)), 31)
    validation = session.dataset("validation")
    said = answers(session, state.eval_variables, validation)
    assert said.index.tolist() == list(range(len(validation)))
    assert said.label.tolist() == validation.labels.tolist()
    return {
        "losses": losses,
        "gradient": gradient,
        "rows": rows,
        "statistics": statistics,
        "logits": sample(said.logits, 31),
        "messages": MESSAGE.findall(compiled[0].as_text()),
        "state_share": share,  # what one device holds
    }


port, count, number = os.environ.get("TEN_STEPS_OF", "0,1,0").split(",")
cluster = (f"127.0.0.1:{port}", int(count), int(number)) if count != "1" else (None, None, None)
with joined(count != "1", *cluster), precision(dtype):
    print(json.dumps({strategy: run(strategy) for strategy in strategies.split(",")}))
