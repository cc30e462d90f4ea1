"""What one temperature does to the probabilities of LeNet-5 on the digits: nine seeds of `digits_lenet.py`.

Question: does temperature scaling (Guo et al. 2017), fitted on the 180 validation digits, lower NLL and calibration
error of the README's network on the 359 test digits?

    python experiments/calibration.py

Result: not yet run.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from cnn_jax import evaluate, load_experiment, open_run, train
from cnn_jax.study.statistics import t_interval

SEEDS = range(9)
FOLDER = Path("runs/calibration")
FIGURES = ("nll", "brier", "ece")


def main() -> None:
    config = load_experiment(Path(__file__).with_name("digits_lenet.py"))
    before, after, raised, moved = [], [], 0, 0
    print("| seed | validation top-1 | temperature | test NLL | Brier score | calibration error |")
    print("|---|---|---|---|---|---|")
    for seed in SEEDS:
        folder = train(replace(config, seed=seed), FOLDER / f"seed-{seed}").run  # at once where it is finished
        fitted, test = (evaluate(folder, split=split) for split in ("validation", "test"))
        temperature = test["calibrated"]["temperature"]
        # Where the network is right about every validation digit there is no best temperature, and nothing is scaled.
        scaled = test if temperature is None else test["calibrated"]
        before.append([test[name] for name in FIGURES])
        after.append([scaled[name] for name in FIGURES])
        pairs = " | ".join(f"{a:.4f} → {b:.4f}" for a, b in zip(before[-1], after[-1], strict=True))
        shown = "none" if temperature is None else f"{temperature:.3f}"
        print(f"| {seed} | {fitted['top1']:.2%} | {shown} | {pairs} |", flush=True)
        if temperature is not None:
            run = open_run(folder)
            logits = run.answers(run.variables(), "test").logits
            moved += int((logits.argmax(1) != (logits / np.float32(temperature)).argmax(1)).sum())
            raised += fitted["calibrated"]["nll"] > fitted["nll"]
    differences = np.array(after) - np.array(before)
    for name, values, change in zip(FIGURES, np.array(before).T, differences.T, strict=True):
        mean, interval = t_interval(values), t_interval(change)
        print(f"{name}: {mean.mean:.4f} ± {mean.half:.4f}, changed by {interval.mean:+.4f} ± {interval.half:.4f}")
    print(f"NLL raised on validation: {raised} of {len(SEEDS)} seeds; test digits whose class changed: {moved}")


if __name__ == "__main__":
    main()
