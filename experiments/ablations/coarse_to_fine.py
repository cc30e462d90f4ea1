"""Does a search from coarse to fine find as good a learning rate as a dense sweep, for a quarter of the runs?

    python experiments/ablations/coarse_to_fine.py

LeNet-5 on the digits, five epochs. The sweep: 13 rates from 0.001 to 10, three to a decade, five seeds each, 65 runs.
The search: two rounds of eight trials in the same range, one run each, 16 runs or 24.6 %; alone it is

    cnn-jax tune experiments/ablations/coarse_to_fine.py

Both select by the validation loss after the last step, and neither looks at the test split. Named before the runs: the
search holds where its rate's mean loss over five new seeds is at most one standard error above the mean of the sweep's
best rate. Beside that stands what the sweep's best rate gives with the new seeds: among 13 means the lowest is also the
luckiest. A search of another seed has `SEED=1` before the command.

Result, on two cores of an AMD EPYC (Zen 3, AVX2), jax 0.12.0.1, in an hour and a half beside ten other programs; a run
took about 12 CPU seconds, most of it compilation:

    | learning rate | validation loss, mean ± standard error, n = 5 |
    |---|---|
    | 0.001 | 2.2034 ± 0.0139 |
    | 0.00215 | 2.0370 ± 0.0149 |
    | 0.00464 | 1.7383 ± 0.0261 |
    | 0.01 | 1.2803 ± 0.0314 |
    | 0.0215 | 0.8122 ± 0.0220 |
    | 0.0464 | 0.4962 ± 0.0124 |
    | 0.1 | 0.3080 ± 0.0082 |
    | 0.215 | 0.1937 ± 0.0029 |
    | 0.464 | 0.1199 ± 0.0031 |
    | 1 | 0.1025 ± 0.0040 |
    | 2.15 | 0.5869 ± 0.1725 |
    | 4.64 | 3.6124 ± 0.3340 |
    | 10 | 9.1073 ± 1.6801 |

    | what found it | learning rate | mean ± standard error over the new seeds | at most 0.1065 |
    |---|---|---|---|
    | sweep | 1 | 0.1108 ± 0.0097 | no |
    | search, seed 0 | 1.03 | 0.1171 ± 0.0131 | no |
    | search, seed 1 | 1.18 | 0.1113 ± 0.0089 | no |

So the claim does not hold as it was named: no search came within 0.1065. Nor did the sweep's own best rate, whose five
seeds were lucky. With the same new seeds both searches stand within one standard error of it, 0.0063 and 0.0005 above,
at a quarter of the runs. A third search, of seed 2, was meant to be run, and was stopped before its end.
"""

import os
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, Search, TrainConfig, log_range, training_events, tune
from cnn_jax.config import load_experiment
from cnn_jax.runs.folder.metrics_file import read_metrics
from cnn_jax.runs.loop import DivergedError

FOLDER = Path("runs/coarse_to_fine")
RATES = [float(f"{rate:.3g}") for rate in np.geomspace(1e-3, 10, 13)]
SEEDS, NEW_SEEDS, SEARCHES = range(5), range(100, 105), range(2)


def config() -> Config:
    return Config(
        seed=int(os.environ.get("SEED", 0)),
        model=ModelConfig("lenet5"),
        data=DataConfig("digits", batch_size=64, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",)),
        optim=OptimConfig("sgd", weight_decay=1e-4, schedule="cosine", warmup_fraction=0.05),
        train=TrainConfig(epochs=5, test="never"),
    )


def search() -> Search:
    return Search(config(), {"optim.learning_rate": log_range(RATES[0], RATES[-1])}, trials=8, rounds=2)


def loss(rate: float, seed: int) -> float:
    """Of the validation split, after the last step; infinite where the run diverges."""
    base = load_experiment(__file__)
    config = replace(base, seed=seed, optim=replace(base.optim, learning_rate=rate))
    folder = FOLDER / "sweep" / f"rate-{rate:g}" / f"seed-{seed}"
    try:
        deque(training_events(config, folder), maxlen=0)
    except DivergedError:
        return float("inf")
    return float([line["loss"] for line in read_metrics(folder) if line["split"] == "validation"][-1])


def measured(rate: float, seeds: range) -> tuple[float, float]:
    """Mean and standard error over seeds."""
    losses = np.array([loss(rate, seed) for seed in seeds])
    if not np.isfinite(losses).all():
        return float("inf"), float("inf")
    return float(losses.mean()), float(losses.std(ddof=1) / len(losses) ** 0.5)


def main() -> None:
    print("| learning rate | validation loss, mean ± standard error, n = 5 |\n|---|---|")
    found = {}
    for rate in RATES:
        found[rate] = measured(rate, SEEDS)
        print("| {:g} | {:.4f} ± {:.4f} |".format(rate, *found[rate]), flush=True)
    best = min(RATES, key=lambda rate: found[rate][0])
    limit = sum(found[best])
    print("\n| what found it | learning rate | mean ± standard error over the new seeds", end="")
    print(f" | at most {limit:.4f} |\n|---|---|---|---|")
    rates = {"sweep": best}
    for number in SEARCHES:
        os.environ["SEED"] = str(number)
        tuned = tune(__file__, FOLDER / f"search-{number}")
        rates[f"search, seed {number}"] = tuned.best.values["optim.learning_rate"]
    for what, rate in rates.items():
        mean, error = measured(rate, NEW_SEEDS)
        print(f"| {what} | {rate:g} | {mean:.4f} ± {error:.4f} | {'yes' if mean <= limit else 'no'} |", flush=True)


if __name__ == "__main__":
    main()
