"""What a study costs beside its runs: sixty runs of LeNet-5 on the digits, 100 steps each, by one `cnn-jax ablate`.

    uv run python experiments/benchmarks/study_overhead.py

The seconds of the whole command, start-up included, less those that its runs record as training (waiting for batches
included), evaluation, saving and drawing, over sixty.

Two cores of an AMD EPYC (Zen 3), jax 0.12.0.1:

    60 runs in 209.1 s: training 109.5, compile 9.8, evaluation 6.6, saving 7.7, waiting 6.7, drawing 40.9
    beside training, evaluation, saving and drawing: 0.63 s a run

Of the 38 s beside them, 10 are the compilation of two arms, and 16 lie before the first run and after the last:
start-up, the table, and the report.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILE = """
from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

def ablation():
    data = DataConfig("digits", batch_size=64, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",))
    optim, train = OptimConfig("sgd", learning_rate=0.2), TrainConfig(steps=100)
    base = Config(model=ModelConfig("lenet5"), data=data, optim=optim, train=train)
    arms = {"half the rate": {"optim.learning_rate": 0.1}}
    return Ablation("What does a study cost beside its runs?", base, arms, seeds=range(30))
"""


def main() -> None:
    """Prints the seconds of the command, those of its runs by kind, and the rest for each run."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "sixty.py").write_text(FILE)
        began = time.perf_counter()
        command = [sys.executable, "-m", "cnn_jax", "ablate", "sixty.py", "--workdir", "sixty"]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        records = [json.loads(file.read_text())["record"] for file in place.glob("sixty/*/*/config.json")]
    spent: dict[str, float] = {}
    for record in records:
        for kind, part in record[-1]["seconds"].items():
            spent[kind] = spent.get(kind, 0.0) + part
    print(f"{len(records)} runs in {seconds:.1f} s: " + ", ".join(f"{kind} {part:.1f}" for kind, part in spent.items()))
    rest = seconds - sum(part for kind, part in spent.items() if kind != "compile")
    print(f"beside training, evaluation, saving and drawing: {rest / len(records):.2f} s a run")


if __name__ == "__main__":
    main()
