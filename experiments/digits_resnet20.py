"""ResNet-20 on scikit-learn's handwritten digits, as they are: do 20 layers help where an image has 64 pixels?

    cnn-jax train experiments/digits_resnet20.py

Result: not yet run.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("resnet20_cifar"),
        data=DataConfig("digits", batch_size=64, augment=("pad_crop(1)",)),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=40),
    )
