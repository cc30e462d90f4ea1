"""LeNet-5 on scikit-learn's handwritten digits: the smallest complete experiment, in seconds on a laptop.

Question: how far does the network of 1998 get on 1,258 training images of 8×8 pixels?

    cnn-jax train experiments/digits_lenet.py

Result: not yet run.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("lenet5"),
        data=DataConfig(
            "digits",
            batch_size=64,
            augment=("resize(28)", "pad_crop(3)"),
            eval_augment=("resize(28)",),
        ),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=1e-4, schedule="cosine", warmup_fraction=0.05),
        train=TrainConfig(epochs=60),
    )
