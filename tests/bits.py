"""Compares the bits of two checkouts: what short runs of every kind compute, or the programs of training steps.

No test, but run by hand where a change must leave recorded results as they are. It imports the cnn_jax of the Python
that runs it, so the other checkout's takes the same script (-P keeps the script's own folder off the path):

    OTHER/.venv/bin/python -P tests/bits.py --write before.json
    .venv/bin/python -P tests/bits.py --compare before.json      # status 1 and a list, where something differs

The runs take six steps on the digits. Digests are of the parameters and running statistics in the last checkpoint, of
the training lines of metrics.jsonl, and of its validation and test lines; not of what stands under `time/…`, and not
of averages (`ema`). Bits are only comparable on one machine.

With --programs: digests of the lowered, not compiled, training step of `cnn-jax bench` for six networks in float32 and
bfloat16. Functions are numbered in them, so that their names do not count. Equal programs compute equal bits.

    .venv/bin/python -P tests/bits.py --programs --compare programs.json

Words after the options name some of the kinds or programs, by a part of their names.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = 6
LENET = {"model.name": "lenet5", "data.augment": ["resize(28)", "pad_crop(3)"], "data.eval_augment": ["resize(28)"]}
RESNET = {"model.name": "resnet8_cifar", "data.augment": ["pad_crop(1)", "horizontal_flip()"]}
COMMON = {
    "data.batch_size": 32,
    "optim.learning_rate": 0.4,
    "optim.warmup_fraction": 0.3,
    "train.steps": STEPS,
    "train.log_every": 1,
    "train.eval_every": 3,
    "train.checkpoint_every": STEPS,
}
# Kind of run: how many devices, and its configuration.
KINDS: dict[str, tuple[int, dict]] = {
    "jit": (1, LENET),
    "batch_norm": (1, RESNET),
    "accumulate": (1, RESNET | {"parallel.accumulate": 2}),
    "mix": (
        1,
        RESNET
        | {
            "data.mix": ["mixup(0.2)", "cutmix(1.0)"],
            "model.options.dropout": 0.3,
            "model.options.drop_path": 0.3,
            "optim.label_smoothing": 0.1,
        },
    ),
    "freeze_adamw": (1, RESNET | {"optim.freeze": "stem|stage1", "optim.name": "adamw", "optim.learning_rate": 0.01}),
    "float16": (1, RESNET | {"model.dtype": "float16"}),
    "bfloat16": (1, RESNET | {"model.dtype": "bfloat16"}),
    "ema": (1, RESNET | {"optim.ema_decay": 0.9}),
    "pmap": (2, RESNET | {"parallel.strategy": "pmap"}),
    "fsdp": (2, RESNET | {"parallel.strategy": "fsdp"}),
    "fsdp_ema_accumulate": (
        2,
        RESNET | {"parallel.strategy": "fsdp", "parallel.accumulate": 2, "optim.ema_decay": 0.9},
    ),
}
PROGRAMS = [
    ("lenet5", 128),
    ("resnet20_cifar", 128),
    ("resnet50", 16),
    ("vgg16", 8),
    ("googlenet", 16),
    ("alexnet", 16),
]


def digest(text: bytes | str) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def run(changes: dict, folder: Path) -> dict[str, str]:
    """The digests of one run, in this process."""
    import jax
    import orbax.checkpoint as ocp

    import cnn_jax
    from cnn_jax.config import from_flat

    cnn_jax.train(from_flat(COMMON | changes), folder)
    tree = ocp.PyTreeCheckpointer().restore(folder / "checkpoints" / str(STEPS) / "tree")
    digests = {}
    for part in ("params", "batch_stats"):
        leaves = jax.tree.leaves_with_path(tree["state"].get(part) or {})
        text = b"".join(f"{jax.tree_util.keystr(p)} {a.dtype} {a.shape} ".encode() + a.tobytes() for p, a in leaves)
        digests[part] = digest(text)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for name in ("train", "evaluation"):
        kept = [
            {k: v for k, v in line.items() if not k.startswith("time/")}
            for line in lines
            if (line["split"] == "train") == (name == "train")
        ]
        if name == "train" or "optim.ema_decay" not in changes:
            digests[name] = digest(json.dumps(kept, sort_keys=True))
    return digests


def runs(names: list[str]) -> dict[str, dict[str, str]]:
    """The digests of some kinds of runs, each in a process of its own: the number of devices is fixed at its start."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            print(name, file=sys.stderr, flush=True)
            # Without a cache on disk: a program that was compiled before might be another checkout's.
            environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
            environment |= {
                "CNN_JAX_DATA": f"{folder}/data",
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": f"--xla_force_host_platform_device_count={KINDS[name][0]}",
            }
            command = [sys.executable, "-P", __file__, "--child", f"{folder}/{name}", name]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            found[name] = json.loads(done.stdout.splitlines()[-1])
    return found


def programs(names: list[str]) -> dict[str, str]:
    """The digests of lowered training steps, built as `cnn-jax bench` builds them."""
    import jax
    import jax.numpy as jnp
    import optax

    from cnn_jax import ops
    from cnn_jax.models import abstract_variables, create_model
    from cnn_jax.models.registry import architecture
    from cnn_jax.training.bare_step import bare_step

    found = {}
    for name, batch in PROGRAMS:
        for dtype in ("float32", "bfloat16"):
            key = f"{name}_b{batch}_{dtype}"
            if key not in names:
                continue
            print(key, file=sys.stderr, flush=True)
            model, shape = create_model(name, dtype=jnp.dtype(dtype)), architecture(name).image_shape
            optimizer = optax.sgd(0.01, momentum=0.9, nesterov=True)
            variables = abstract_variables(model, shape)
            parameters = variables["params"]
            state = (parameters, variables.get("batch_stats", {}), jax.eval_shape(optimizer.init, parameters))
            images = jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
            labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
            with ops.context(conv="auto"):
                text = jax.jit(bare_step(model, optimizer), donate_argnums=0).lower(state, images, labels).as_text()
            found[key] = digest(numbered(text))
    return found


def numbered(program: str) -> str:
    """A lowered program, its functions named by the order in which they appear; calls of libraries as they are."""
    names: dict[str, str] = {}
    return re.sub(r"(?<!custom_call )@[\w.]+", lambda match: names.setdefault(match[0], f"@{len(names)}"), program)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", action="store_true", help="of training steps, in place of runs")
    parser.add_argument("--write", metavar="FILE", type=Path)
    parser.add_argument("--compare", metavar="FILE", type=Path)
    parser.add_argument("--child", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", metavar="WORD")
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run(KINDS[arguments.words[0]][1], arguments.child)))
        return 0
    every = [f"{n}_b{b}_{d}" for n, b in PROGRAMS for d in ("float32", "bfloat16")] if arguments.programs else [*KINDS]
    names = [name for name in every if not arguments.words or any(word in name for word in arguments.words)]
    found = programs(names) if arguments.programs else runs(names)
    text = json.dumps(found, indent=2)
    print(text)
    if arguments.write:
        arguments.write.write_text(text + "\n")
    if not arguments.compare:
        return 0
    before = json.loads(arguments.compare.read_text())
    differ = {name: found[name] for name in names if name in before and found[name] != before[name]}
    for name, now in differ.items():
        parts = [part for part in now if now[part] != before[name].get(part)] if isinstance(now, dict) else []
        print(f"{name} differs" + (f" in {', '.join(parts)}" if parts else ""), file=sys.stderr)
    missing = [name for name in names if name not in before]
    print(f"{len(names) - len(differ) - len(missing)} equal, {len(differ)} differ, {len(missing)} new", file=sys.stderr)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
