"""Batch size, with the learning rate scaled linearly and not.

Claim (Goyal et al. 2017, section 2.1, and the default here, `optim.lr_scaling`): a batch of k times the size takes k
times the rate. ResNet-8 at half its width on all 1,258 training digits, ten epochs: 393 steps of 32 or 49 of 256. Held
equal: epochs, warm-up as a part of the run, all else. The base is 32 at a rate of 0.025, which the arm that is not
scaled keeps.

    cnn-jax ablate experiments/ablations/batch_size.py

Not yet run.
"""

from typing import Any

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

RATE, BATCH, LARGE = 0.2, 32, 256


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("resnet8_cifar", options={"width": 0.5}),
        data=DataConfig("digits", batch_size=BATCH, examples_per_class=50),
        optim=OptimConfig("sgd", learning_rate=RATE, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms: dict[str, dict[str, Any]] = {
        "scaled": {"data.batch_size": LARGE},
        "not scaled": {"data.batch_size": LARGE, "optim.lr_scaling": "none", "optim.learning_rate": RATE * BATCH / 256},
    }
    return Ablation(
        "Does a larger batch do as well where the rate grows with it, and only there?", base, arms, seeds=range(9)
    )
