"""WRN-28-10 on CIFAR-10 and CIFAR-100 (Zagoruyko and Komodakis 2016, section 3): does width serve as well as depth?

    cnn-jax data prepare cifar10 --source DIR
    cnn-jax train experiments/cifar_wrn.py
    cnn-jax train experiments/cifar_wrn.py --data.name cifar100
    cnn-jax train experiments/cifar_wrn.py --model.options.dropout 0.3

Batch 128, rate 0.1 (0.2 at batch 256) times 0.2 after 60, 120 and 160 of 200 epochs, Nesterov momentum, decay 0.0005;
all 50,000 images. One deviation: the frame of four pixels around an image is black, not its reflection.

Result: not yet run. The paper's table 6 reports a test error of 4.00 % on CIFAR-10 and 19.25 % on CIFAR-100, and with
dropout 0.3, 3.89 % and 18.85 % (medians of five runs).
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("wrn28_10"),
        data=DataConfig(
            "cifar10", batch_size=128, validation_fraction=0.0, augment=("pad_crop(4)", "horizontal_flip()")
        ),
        optim=OptimConfig(
            "sgd",
            learning_rate=0.2,
            weight_decay=5e-4,
            decay="all",
            schedule="step(fractions=(0.3, 0.6, 0.8), factor=0.2)",
        ),
        train=TrainConfig(epochs=200),
    )
