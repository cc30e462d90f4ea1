"""Max against average pooling.

Claim of the lecture: a group of pixels is represented by its maximum or by its average; VGG takes the maximum. LeNet-5
on 20 images of each digit, enlarged to 28×28. Held equal: the 61,706 parameters, since neither pooling has any, and all
else. The base has the average, and tanh, as in 1998.

    cnn-jax ablate experiments/ablations/pooling.py

Not yet run.
"""

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("lenet5", options={"pool": "avg", "activation": "tanh"}),
        data=DataConfig(
            "digits", batch_size=16, examples_per_class=20, augment=("resize(28)",), eval_augment=("resize(28)",)
        ),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine"),
        train=TrainConfig(epochs=20, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        "maximum": {"model.options.pool": "max"},
    }
    return Ablation("Maximum or average in LeNet-5's pooling?", base, arms, seeds=range(9))
