"""From clothes to digits: what are features of Fashion-MNIST worth where there are ten images of each digit?

The lecture ends with transfer learning. LeNet-5 learns 2,000 images of each class of Fashion-MNIST, once a seed; then
ten of each digit, with a new classifier: on frozen features, on features freed from the last to the first, and with
everything moving from the start. The base begins from scratch. Held equal: steps, rate, schedule, augmentation; the
seed chooses the hundred images as well, the same for every arm. Each set is normalised by its own mean and deviation.

    cnn-jax ablate experiments/ablations/transfer.py --jobs 2

Result, on two cores of an AMD EPYC that had other work, jax 0.12.0.1 (20 minutes of a core, with `transfer_all.py`):

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 91.67 ± 1.66 % | ± 2.25 % |  |  |  |  |  |  |
| frozen | 9 | 81.96 ± 2.48 % | ± 3.46 % | -9.72 ± 2.10 % | ± 2.43 % | 0.00391 | lower | 0.54 | 3.79 (2.56 to 7.25) |
| gradually unfrozen | 9 | 91.30 ± 2.06 % | ± 2.61 % | -0.37 ± 1.03 % | ± 1.19 % | 0.453 | no difference found | 0.87 | 1.85 (1.25 to 3.55) |
| fine-tuned | 9 | 91.80 ± 1.57 % | ± 2.18 % | +0.12 ± 1.12 % | ± 1.22 % | 0.875 | no difference found | 0.76 | 2.02 (1.36 to 3.86) |

A linear probe of the same features (`transfer_probe.py`): 83.29 ± 2.77 %, −8.39 ± 2.55 % to the base. What clothes
taught is not what digits need: as they are, the features are worth less than a hundred images from scratch. As a place
to start from they are not told apart from a random one, freed one after another or at once; nine seeds would find two
points. The pre-trained networks classify 87.09 ± 0.24 % of the clothes.
"""  # noqa: E501

from dataclasses import replace
from typing import Any

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

CLOTHES = DataConfig("fashion_mnist", batch_size=128, examples_per_class=2000, augment=("pad_crop(2)",))
DIGITS = DataConfig("digits", batch_size=64, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",))
FROZEN: dict[str, Any] = {"freeze": "(?!head)"}
# Frozen are all but the head; `logits` are then the two dense layers below it, `stage2` and `stem` the convolutions.
UNFROZEN = FROZEN | {"unfreeze": ("logits=0.2", "stage2=0.4", "stem=0.6")}
ARMS: dict[str, dict[str, Any]] = {"frozen": FROZEN, "gradually unfrozen": UNFROZEN, "fine-tuned": {}}


def config(data: DataConfig, epochs: float) -> Config:
    return Config(
        model=ModelConfig("lenet5"),
        data=data,
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=epochs, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )


def ten_of_each(data: DataConfig) -> DataConfig:
    return replace(data, batch_size=50, examples_per_class=10)


def from_pretraining() -> dict[str, dict[str, Any]]:
    start = {"model.weights": "pretraining", "model.new_head": True}
    return {name: start | {f"optim.{key}": value for key, value in optim.items()} for name, optim in ARMS.items()}


def ablation() -> Ablation:
    return Ablation(
        "What are features of clothes worth to ten images of each digit?",
        config(ten_of_each(DIGITS), 150),
        from_pretraining(),
        seeds=range(9),
        pretraining=config(CLOTHES, 6),
    )
