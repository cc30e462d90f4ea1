"""What the training loop costs beside the jitted step itself: LeNet-5 on the digits.

    uv run python experiments/benchmarks/step_overhead.py

Each round runs the bare step (one batch that stays on the device, a wait at the end) and the whole loop (data, metrics,
log lines, progress; its images/s as `metrics.jsonl` records them, which leaves out evaluations and checkpoints), in
turn. The ratio is loop over bare.
"""

import dataclasses
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import jax

from cnn_jax.config import Config, load_experiment
from cnn_jax.data import train_batches
from cnn_jax.runs import train
from cnn_jax.runs.folder.run import read_metrics
from cnn_jax.runs.session import open_session

EXPERIMENT = Path(__file__).parents[1] / "digits_lenet.py"
ROUNDS, STEPS = 5, 400


def bare(config: Config) -> float:
    """Images a second of the jitted step alone."""
    session = open_session(config)
    step = session.compile_train_step()
    batch = session.layout.put(next(train_batches(session.dataset("train"), config.data.batch_size, seed=0)))
    carry, _ = step(session.carry(session.drawn_state()), batch)
    for _ in range(20):
        carry, _ = step(carry, batch)
    jax.block_until_ready(carry)
    began = time.perf_counter()
    for _ in range(STEPS):
        carry, _ = step(carry, batch)
    jax.block_until_ready(carry)
    return STEPS * config.data.batch_size / (time.perf_counter() - began)


def loop(config: Config) -> float:
    """Images a second of `cnn_jax.train`, without the first log line, which holds the compilation."""
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run")
        lines = [line for line in read_metrics(Path(folder) / "run") if line["split"] == "train"]
    steps = [later["step"] - before["step"] for before, later in itertools.pairwise(lines)]
    seconds = [n * config.data.batch_size / line["time/images_per_s"] for n, line in zip(steps, lines[1:], strict=True)]
    return sum(steps) * config.data.batch_size / sum(seconds)


def main() -> None:
    """Prints a row a round, and the median ratio."""
    config = load_experiment(EXPERIMENT)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=STEPS))
    ratios = []
    for number in range(1, ROUNDS + 1):
        alone, whole = bare(config), loop(config)
        ratios.append(whole / alone)
        print(
            f"round {number}: bare {alone:.0f} images/s, loop {whole:.0f} images/s, ratio {ratios[-1]:.3f}", flush=True
        )
    print(f"ratio: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


if __name__ == "__main__":
    main()
