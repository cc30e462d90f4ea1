"""What one temperature does to the probabilities of LeNet-5 on the digits: nine seeds of `digits_lenet.py`.

Question: does temperature scaling (Guo et al. 2017), fitted on the 180 validation digits, lower NLL and calibration
error of the README's network on the 359 test digits?

    python experiments/calibration.py

Result, with jax 0.12.0.1 on two cores of an AMD EPYC (Zen 3, AVX2); means with 95 % t-intervals over the seeds:

| seed | validation top-1 | temperature | test NLL | Brier score | calibration error |
|---|---|---|---|---|---|
| 0 | 98.89% | 0.876 | 0.0288 → 0.0288 | 0.0107 → 0.0104 | 0.0074 → 0.0067 |
| 1 | 98.33% | 1.093 | 0.0459 → 0.0453 | 0.0150 → 0.0154 | 0.0086 → 0.0087 |
| 2 | 98.33% | 1.193 | 0.0346 → 0.0361 | 0.0164 → 0.0166 | 0.0099 → 0.0108 |
| 3 | 98.89% | 0.465 | 0.0470 → 0.0787 | 0.0231 → 0.0239 | 0.0105 → 0.0129 |
| 4 | 98.89% | 0.585 | 0.0281 → 0.0345 | 0.0127 → 0.0137 | 0.0045 → 0.0062 |
| 5 | 99.44% | 0.505 | 0.0403 → 0.0651 | 0.0189 → 0.0214 | 0.0097 → 0.0115 |
| 6 | 98.89% | 1.147 | 0.0477 → 0.0474 | 0.0180 → 0.0186 | 0.0091 → 0.0095 |
| 7 | 98.89% | 1.074 | 0.0313 → 0.0319 | 0.0135 → 0.0138 | 0.0072 → 0.0085 |
| 8 | 98.89% | 1.110 | 0.0313 → 0.0320 | 0.0108 → 0.0111 | 0.0061 → 0.0087 |

    nll: 0.0372 ± 0.0062, changed by +0.0072 ± 0.0094
    brier: 0.0155 ± 0.0031, changed by +0.0006 ± 0.0006
    ece: 0.0081 ± 0.0015, changed by +0.0012 ± 0.0008
    NLL raised on validation: 0 of 9 seeds; test digits whose class changed: 0

It does not help here: the test calibration error rises, and whether NLL does is not decided. One to three of the 180
validation digits are wrong, and those few decide the temperature: 0.465 to 1.193. A run of five epochs, which is less
sure than it is right, gains by 0.583: test NLL 0.2094 → 0.1586, calibration error 0.0787 → 0.0282. It is made and
looked at by

    cnn-jax train experiments/digits_lenet.py --train.epochs 5 --workdir runs/five_epochs
    cnn-jax eval runs/five_epochs
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
