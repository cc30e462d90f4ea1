"""What a GPU or TPU gives: training steps beside stock Flax and PyTorch, bits that repeat, pooling, checkpoints.

    uv run --extra cuda python experiments/benchmarks/accelerator.py --out accelerator

It measures part after part, the most telling first, each in a process of its own and in less than nine minutes, and
keeps what is done in the folder `--out`: started again, it goes on where it was stopped. From a checkout that is not
installed it needs jax, flax, optax, orbax-checkpoint, jaxtyping and lazy-loader, and leaves the part `calls` out.
PyTorch, where there is one, is timed in eager mode and compiled. It ends with a table, `results.json` and, where there
is matplotlib, `results.png`. `accelerator_parts.py` says how each part measures. Results: in the README beside this
file.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

MOST_SECONDS = 540
# Batch sizes that fill a card, after which the small networks are still bound by what starts their steps.
BATCHES = {"resnet50": 256, "resnet20_cifar": 512, "lenet5": 1024, "vgg16": 128, "googlenet": 256, "alexnet": 512}
PARTS = [
    "resnet50-bfloat16",
    "repeats",
    "repeats-default",
    "lenet5-bfloat16",
    "calls",
    "resnet20_cifar-bfloat16",
    "pooling",
    *(f"{network}-bfloat16" for network in ("vgg16", "googlenet", "alexnet")),
    "checkpoint",
    *(f"{network}-float32" for network in BATCHES),
]


def measured(part: str, out: Path, settings: list[str]) -> dict[str, Any] | None:
    """A part's figures, kept with the same settings or measured now; None where it failed, or took too long."""
    kept, here = out / f"{part}.json", [*settings, f"jax {metadata.version('jax')}", cards()]
    if kept.exists() and (before := json.loads(kept.read_text()))["settings"] == here:
        return before
    print(f"{part} …", file=sys.stderr, flush=True)
    began = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name("accelerator_parts.py")), part, *settings]
    # JAX would take most of the memory for itself, and a peer works in the same process.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        printed, _ = process.communicate(timeout=MOST_SECONDS)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)  # it may have started others
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        print(f"{part}: over {MOST_SECONDS} s; left out", file=sys.stderr, flush=True)
        return None
    if process.returncode:
        print(f"{part}: failed; left out", file=sys.stderr, flush=True)
        return None
    figures: dict[str, Any] = json.loads(printed.splitlines()[-1]) | {"settings": here}
    if figures["rows"]:  # else something is not installed, and the part waits for it
        kept.with_suffix(".new").write_text(json.dumps(figures, indent=1))
        kept.with_suffix(".new").replace(kept)
    print(f"{part}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def cards() -> str:
    """The GPUs of this machine, by NVIDIA's tool; nothing where there is none."""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""
    return re.sub(r" \(UUID.*?\)", "", listed.strip())


def table(results: dict[str, dict[str, Any]]) -> str:
    """The rows of all parts, as Markdown."""
    rows = ["| part | what | median | lowest to highest | |", "|---|---|---|---|---|"]
    for part, figures in results.items():
        for row in figures["rows"]:
            low, high = row.get("spread", ("", ""))
            spread = f"{low:g} to {high:g}" if row.get("spread") else ""
            rows.append(
                f"| {part} | {row['what']} | {row['median']:g} {row['unit']} | {spread} | {row.get('note', '')} |"
            )
    return "\n".join(rows)


def plot(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Images a second of every contender, relative to ours; to the right of the line a peer is faster."""
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = [(part, row) for part, figures in results.items() for row in figures["rows"] if "ratio" in row]
    figure, axes = plt.subplots(figsize=(8, 1 + 0.3 * len(rows)), layout="constrained")
    axes.barh(range(len(rows)), [row["ratio"] for _, row in rows])
    axes.set_yticks(range(len(rows)), [f"{part}: {row['what']}" for part, row in rows])
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("images a second, relative to one step a call of ours")
    figure.savefig(path)


def main() -> None:
    """Measures what is not measured yet, and prints all."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("parts", nargs="*", default=PARTS, help=f"all by default: {', '.join(PARTS)}")
    words.add_argument("--out", type=Path, default=Path("accelerator"), help="the folder of the results")
    words.add_argument("--rounds", type=int, default=5, help="in which the contenders are timed in turn")
    words.add_argument("--seconds", type=float, default=1.0, help="of steps, a contender a round")
    words.add_argument("--processes", type=int, default=20, help="fresh ones that repeat the same 20 steps")
    words.add_argument("--at-once", type=int, default=5, help="of these")
    words.add_argument("--reduced", action="store_true", help="tiny batches and images, to see that all parts work")
    given = words.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        words.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    given.out.mkdir(parents=True, exist_ok=True)
    settings = [f"--rounds={given.rounds}", f"--seconds={given.seconds}", f"--processes={given.processes}"]
    settings += [f"--at-once={given.at_once}", *["--reduced"] * given.reduced]
    results: dict[str, dict[str, Any]] = {}
    for part in given.parts:
        if figures := measured(part, given.out, settings):
            results[part] = figures
            (given.out / "results.json").write_text(json.dumps(results, indent=1))
    for card in sorted({figures["machine"] for figures in results.values()}):
        print(card)
    print(table(results))
    plot(results, given.out / "results.png")
    if len(results) < len(given.parts):
        sys.exit(1)


if __name__ == "__main__":
    main()
