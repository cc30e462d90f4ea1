"""What it costs to train in two processes of one core instead of one process of two: ResNet-20 on the digits at 32×32.

    uv run python experiments/benchmarks/process_overhead.py [--rounds 3]

Both train the same global batches of 128, in turn; the images a second are those of `metrics.jsonl` after the first log
line, which holds the compilation.  Two processes exchange all gradients and every BatchNorm's statistics through gloo.

Result, `--rounds 3` on two cores of an AMD EPYC (Zen 3), jax 0.12.0.1: 0.53 (0.47 to 0.78; one process 245 to 338
images/s, two 153 to 190). Gloo's receiving thread interrupts the computing one on its core. With all of JAX's threads
under Linux's SCHED_BATCH, where they take turns, it was 1.08 (Zen 4); that was thirty lines for two processes on one
small CPU, and was taken out.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

EXPERIMENT = """
from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

def config():
    data = DataConfig("digits", batch_size=128, augment=("resize(32)", "pad_crop(4)"), eval_augment=("resize(32)",))
    train = TrainConfig(steps=48, log_every=8, eval_every=48, checkpoint_every=48)
    return Config(0, ModelConfig("resnet20_cifar"), data, OptimConfig("sgd"), train)
"""


def images_per_second(processes: int) -> float:
    """Of a training in so many processes, which share this process's cores."""
    with tempfile.TemporaryDirectory() as folder:
        experiment, run = Path(folder) / "experiment.py", Path(folder) / "run"
        experiment.write_text(EXPERIMENT)
        command = [sys.executable, "-m", "cnn_jax", "launch", "--processes", str(processes)]
        command += ["train", str(experiment), "--workdir", str(run)]
        subprocess.run(command, check=True, capture_output=True)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rates = [line["time/images_per_s"] for line in lines if line["split"] == "train"]
    return statistics.harmonic_mean(rates[1:])


def main() -> None:
    """Prints a row a round, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    ratios = []
    for number in range(1, parser.parse_args().rounds + 1):
        one, two = images_per_second(1), images_per_second(2)
        ratios.append(two / one)
        print(f"round {number}: one process {one:.0f} images/s, two {two:.0f}, ratio {ratios[-1]:.2f}", flush=True)
    print(f"ratio: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
