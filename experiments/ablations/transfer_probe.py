"""The fifth arm of `transfer.py`, `transfer_all.py` and `transfer_back.py`: a linear probe of the same features.

Logistic regression on what the pre-trained LeNet-5 makes of the training images, without augmentation, its strength
chosen on the validation split, for each seed; beside it the difference to the base, which learns from scratch, paired
by seed. To be run after the three.

    python experiments/ablations/transfer_probe.py

    transfer: probe 83.29% ± 2.77%, difference to the base -8.39% ± 2.55%, p = 0.00391, n = 9
    transfer_all: probe 95.64% ± 0.75%, difference to the base -2.97% ± 0.84%, p = 0.00391, n = 9
    transfer_back: probe 65.02% ± 0.64%, difference to the base -4.51% ± 1.60%, p = 0.00391, n = 9
"""

import sys
from pathlib import Path

import numpy as np

from cnn_jax import open_run, probe
from cnn_jax.runs.machine.sharing import shared_programs
from cnn_jax.study.ablation import BASE, load_study
from cnn_jax.study.statistics import sign_flip_p, t_interval

STARTS = {"transfer": "transfer", "transfer_all": "transfer", "transfer_back": "transfer_back"}


def main(names: list[str]) -> None:
    """Prints a line for each study."""
    for name in names or [*STARTS]:
        study = load_study(Path(__file__).with_name(f"{name}.py"))
        values, base = [], []
        with shared_programs():
            for seed in study.ablation.seeds:
                start = f"studies/{STARTS[name]}/pretraining/seed-{seed}"
                values.append(probe(start, study.configs[BASE, seed])["test"]["top1"])
                base.append(open_run(f"studies/{name}/{BASE}/seed-{seed}").metrics()[-1]["top1"])
        difference = np.array(values) - np.array(base)
        (mean, low, high), less = t_interval(np.array(values)), t_interval(difference)
        print(
            f"{name}: probe {mean:.2%} ± {(high - low) / 2:.2%}, difference to the base {less.mean:+.2%} "
            f"± {(less.high - less.low) / 2:.2%}, p = {sign_flip_p(difference):.3g}, n = {len(values)}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
