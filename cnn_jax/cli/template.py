"""What is asked here, and of which data, in one line.

    cnn-jax train FILE

Result: not yet run.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    """The whole experiment; `cnn-jax train FILE --help` shows every key, and flags that change it for one run."""
    return Config(
        # A network of `cnn-jax models`, or a Flax module of your own that this file defines.
        model=ModelConfig("lenet5"),
        # A data set of `cnn-jax data list`, or a function of your own. LeNet-5 sees 28×28 pixels, the digits have 8×8.
        data=DataConfig("digits", batch_size=64, augment=("resize(28)", "pad_crop(3)"), eval_augment=("resize(28)",)),
        # The learning rate is that of a batch of 256, and is scaled to the real one.
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=1e-4, schedule="cosine", warmup_fraction=0.05),
        train=TrainConfig(epochs=20),
    )
