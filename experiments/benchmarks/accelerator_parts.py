"""The parts of `accelerator.py`: each measures one thing, and prints its figures as one JSON line."""

import argparse
import functools
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from accelerator import BATCHES
from accelerator_contenders import STEPS_PER_CALL, Contender, Ours, deterministic, in_turn, peer, torch_peers
from flax import linen as nn
from peer_networks import NETWORKS

from cnn_jax import ops

REPEATED = ("resnet18", 64, 224)  # with BatchNorm and overlapping max pooling; its batch and side
REDUCED = ("resnet8_cifar", 2, 32)
Row = dict[str, Any]


def network(name: str, dtype: str, given: argparse.Namespace) -> list[Row]:
    """Images a second of a training step, ours and the peers'; the ratio is to ours, one step a call."""
    import peer_flax

    layers, channels, size, _ = NETWORKS[name]
    batch = 2 if given.reduced else BATCHES[name]
    size = {"alexnet": 67, "lenet5": 28}.get(name, 32) if given.reduced else size
    arguments = (layers(), batch, channels, size, dtype)

    # One after another, for all that it takes: XLA records CUDA graphs as it runs, which fails while PyTorch is at work
    # in another thread.
    own = Ours(name, batch, size, dtype)
    contenders = [Contender("ours", own.run, own.note)]
    if name in ("lenet5", "resnet20_cifar"):
        many = Ours(name, batch, size, dtype, many=True)
        contenders.append(Contender(f"ours, {STEPS_PER_CALL} steps a call", many.run, many.note))
    contenders.append(peer("stock Flax", functools.partial(peer_flax.prepare, *arguments)))
    contenders += torch_peers(arguments)
    took = in_turn(contenders, given.rounds, given.seconds)
    rows = []
    for contender, seconds in zip(contenders, took, strict=True):
        rates = [batch / each for each in seconds]
        ratio = statistics.median(first / each for first, each in zip(took[0], seconds, strict=True))
        row = rates_row(contender.what, rates, "images/s")
        rows.append(row | {"ratio": ratio, "note": f"{ratio:.3f} of ours; {contender.note}"})
    return rows


def rates_row(what: str, values: list[float], unit: str) -> Row:
    """A row of the table."""
    return {"what": what, "median": statistics.median(values), "spread": (min(values), max(values)), "unit": unit}


def repeats(given: argparse.Namespace) -> list[Row]:
    """Of fresh processes that take the same 20 steps, how many end with the bits of the first; and a step's cost."""
    rows = [equal("deterministic", given)]
    contenders = []
    for mode in ("deterministic", "default"):  # in this order: what the clock found would be taken again
        own = repeated(mode, given.reduced)
        contenders.append(Contender(f"a step, {mode}", own.run, own.note))
    for contender, took in zip(contenders, in_turn(contenders, given.rounds, given.seconds), strict=True):
        rows.append(rates_row(contender.what, [1e3 * each for each in took], "ms") | {"note": contender.note})
    return rows


def repeats_default(given: argparse.Namespace) -> list[Row]:
    """The same without the options, of which every process has to find its kernels by the clock."""
    return [equal("default", given)]


def equal(mode: str, given: argparse.Namespace) -> Row:
    """How many processes agree."""
    command = [sys.executable, __file__, f"once-{mode}", *["--reduced"] * given.reduced]

    def once(_: int) -> str:
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        found: str = json.loads(printed.splitlines()[-1])["digest"]
        return found

    with ThreadPoolExecutor(given.at_once) as pool:
        digests = list(pool.map(once, range(given.processes)))
    same, different = digests.count(digests[0]), len(set(digests))
    print(f"  {mode}: {same} of {len(digests)} equal, {different} different", file=sys.stderr, flush=True)
    name = (REDUCED if given.reduced else REPEATED)[0]
    note = f"{different} different; {name}, bfloat16, 20 steps, SHA-256 of the parameters"
    return {"what": f"{mode}: equal to the first", "median": same, "unit": f"of {len(digests)}", "note": note}


def repeated(mode: str, reduced: bool) -> Ours:
    """The step that is repeated."""
    name, batch, size = REDUCED if reduced else REPEATED
    return Ours(name, batch, size, "bfloat16", deterministic() if mode == "deterministic" else {})


def digest(parameters: Any) -> str:
    """Of all their bytes."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(parameters)):
        found.update(leaf.tobytes())
    return found.hexdigest()


def calls(given: argparse.Namespace) -> list[Row]:
    """Images a second of whole trainings of LeNet-5 on the digits, by how many steps a call makes; and their bits."""
    try:
        import cnn_jax
        from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
        from cnn_jax.runs.folder.run import read_metrics
    except ImportError as error:
        print(f"  left out: {error}; `pip install .` in the repository installs all", file=sys.stderr, flush=True)
        return []
    rows, digests = [], []
    steps, every = (4, 2) if given.reduced else (2000, 200)
    size, augment = 8 if given.reduced else 64, ("resize(28)", "pad_crop(3)")
    for count in (1, 7, STEPS_PER_CALL):
        config = Config(
            model=ModelConfig("lenet5"),
            data=DataConfig("digits", batch_size=size, augment=augment, mix=("cutmix()",), eval_augment=augment[:1]),
            optim=OptimConfig("sgd", learning_rate=0.05, ema_decay=0.9),
            train=TrainConfig(steps=steps, log_every=every, eval_every=steps, steps_per_call=count),
        )
        with tempfile.TemporaryDirectory() as folder:
            cnn_jax.train(config, Path(folder) / "run")
            lines = [line for line in read_metrics(Path(folder) / "run") if line["split"] == "train"]
            digests.append(digest(cnn_jax.open_run(Path(folder) / "run").variables()))
        rates = [line["time/images_per_s"] for line in lines[1:]]  # the first line's time holds the start
        row = rates_row(f"{count} step{'s' * (count > 1)} a call", rates, "images/s")
        rows.append(row | {"note": "the same bits" if digests[-1] == digests[0] else "OTHER BITS"})
    return rows


def pooling(given: argparse.Namespace) -> list[Row]:
    """Max pooling and its gradient: ours, of shifted comparisons, and XLA's, which scatters."""
    rows = []
    for name, shape, window, stride in (("3×3/2", (256, 112, 112, 64), 3, 2), ("2×2/2", (128, 224, 224, 64), 2, 2)):
        shape = (2, 8, 8, 4) if given.reduced else shape
        x = jax.random.normal(jax.random.key(0), shape, jnp.bfloat16)

        def ours(x: jax.Array, window: int = window, stride: int = stride) -> jax.Array:
            return ops.max_pool(x, window, stride)

        def theirs(x: jax.Array, window: int = window, stride: int = stride) -> jax.Array:
            return nn.max_pool(x, (window, window), (stride, stride))

        contenders = []
        for what, pool in (("ours", ours), ("XLA's", theirs)):
            gradient = jax.jit(lambda x, pool=pool: jax.vjp(pool, x)[1](pool(x))[0]).lower(x)
            compiled = gradient.compile()

            def run(count: int, compiled: Any = compiled, x: jax.Array = x) -> None:
                for _ in range(count):
                    y = compiled(x)
                y.block_until_ready()

            note = ""
            try:
                gradient.compile(compiler_options=deterministic())
            except jax.errors.JaxRuntimeError as error:
                note = f"not deterministic: {str(error).splitlines()[0][:120]}"
            contenders.append(Contender(f"{name}, {what}", run, note))
        for contender, own in zip(contenders, in_turn(contenders, given.rounds, given.seconds / 4), strict=True):
            rows.append(rates_row(contender.what, [1e3 * each for each in own], "ms") | {"note": contender.note})
    return rows


def checkpoint(given: argparse.Namespace) -> list[Row]:
    """Seconds in which Orbax saves ResNet-50 with its momentum: until training may go on, and until all is written."""
    import orbax.checkpoint as ocp

    name, size = ("resnet20_cifar", 32) if given.reduced else ("resnet50", 224)
    own = Ours(name, 2, size, "float32")
    own.run(1)
    waited: list[float] = []
    written: list[float] = []
    with tempfile.TemporaryDirectory() as folder, ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler()) as saver:
        for number in range(given.rounds):
            began = time.perf_counter()
            saver.save(Path(folder) / str(number), args=ocp.args.StandardSave(own.state))
            waited.append(time.perf_counter() - began)
            saver.wait_until_finished()
            written.append(time.perf_counter() - began)
    size_mb = sum(leaf.nbytes for leaf in jax.tree.leaves(own.state)) / 1e6
    rows = [rates_row("a save holds training up for", waited, "s"), rates_row("a save is written after", written, "s")]
    return [row | {"note": f"{name}, {size_mb:.0f} MB"} for row in rows]


def main() -> None:
    """Measures the part that the first argument names."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("part")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=1.0)
    words.add_argument("--processes", type=int, default=20)
    words.add_argument("--at-once", type=int, default=5)
    words.add_argument("--reduced", action="store_true")
    given = words.parse_args()
    kind, _, how = given.part.partition("-")
    if kind == "once":
        own = repeated(how, given.reduced)
        own.run(20)
        print(json.dumps({"digest": digest(own.state[0])}))
        return
    parts = {"repeats": repeats, "calls": calls, "pooling": pooling, "checkpoint": checkpoint}
    parts["repeats-default"] = repeats_default
    rows = parts[given.part](given) if given.part in parts else network(kind, how, given)
    device = jax.devices()[0]
    machine = f"{device.device_kind} ({device.client.platform_version.splitlines()[0]}), jax {jax.__version__}"
    print(json.dumps({"machine": machine, "rows": rows}))


if __name__ == "__main__":
    main()
