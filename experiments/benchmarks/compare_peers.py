"""How fast is a training step beside stock Flax and PyTorch? Ours and the peers in turn, several rounds.

    uv run python experiments/benchmarks/compare_peers.py --torch-python TORCH/bin/python --rounds 5 --out comparison

Every measurement is a process of its own, and the rounds interleave, so that a machine whose speed drifts treats all
alike. Prints a table of ratios, ours over the peer's images per second (median, lowest, highest), and writes it as
JSON beside a plot. Result: in the README beside this file.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from peer_networks import NETWORKS

HERE = Path(__file__).parent


def images_per_second(command: list[str]) -> float:
    """The last JSON line of a process's output, its `images_per_s`."""
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])["images_per_s"]


def compare(model: str, dtype: str, rounds: int, steps: int, torch_python: str | None) -> dict[str, Any]:
    """One row: for each peer, the ratios of all rounds."""
    _, _, size, batch = NETWORKS[model]
    arguments = ["--batch", str(batch), "--dtype", dtype, "--steps", str(steps)]
    ours = [sys.executable, "-m", "cnn_jax", "bench", model, *arguments, "--image-size", str(size), "--json"]
    peers = {"flax": [sys.executable, str(HERE / "peer_flax.py"), model, *arguments]}
    if torch_python:
        peers["torch"] = [torch_python, str(HERE / "peer_torch.py"), model, *arguments]
    ratios: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(rounds):
        mine = images_per_second(ours)
        for peer, command in peers.items():
            ratios[peer].append(mine / images_per_second(command))
    return {"model": model, "batch": batch, "dtype": dtype, "ratios": ratios}


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Medians as bars, spreads as whiskers; above 1 we are faster."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 1 + 0.7 * len(rows)))
    for offset, peer in enumerate(rows[0]["ratios"]):
        values = [row["ratios"][peer] for row in rows]
        medians = [statistics.median(v) for v in values]
        below = [m - min(v) for m, v in zip(medians, values, strict=True)]
        above = [max(v) - m for m, v in zip(medians, values, strict=True)]
        places = [i + 0.4 * offset for i in range(len(rows))]
        axes.barh(places, medians, 0.38, xerr=[below, above], label=f"against {peer}")
    axes.set_yticks(range(len(rows)), [f"{r['model']} {r['dtype']}" for r in rows])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("images per second, ours over theirs")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(NETWORKS), help="all by default")
    parser.add_argument("--dtype", nargs="+", choices=["float32", "bfloat16"], default=["float32"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--torch-python", help="a Python that has PyTorch; without it Flax is the only peer")
    parser.add_argument("--out", type=Path, default=Path("comparison"), help="written as .json and .png")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("| step | peer | median | lowest | highest |\n|---|---|---|---|---|")
    for model in given.models:
        for dtype in given.dtype:
            rows.append(compare(model, dtype, given.rounds, given.steps, given.torch_python))
            for peer, ratios in rows[-1]["ratios"].items():
                spread = f"{statistics.median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f}"
                print(f"| {model}, batch {rows[-1]['batch']}, {dtype} | {peer} | {spread} |", flush=True)
    given.out.with_suffix(".json").write_text(json.dumps(rows, indent=1))
    plot(rows, given.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
