"""Fashion-MNIST with fewer than 100,000 parameters: how far does a network that small get in a quarter of an hour?

ResNet-8 is He et al.'s network for CIFAR (2015, section 4.2) with one block a stage: 75,002 parameters for one
channel.

    cnn-jax data prepare fashion_mnist --source DIR
    cnn-jax train experiments/fashion_small.py

Result: test top-1 93.34 %, validation 93.88 % (seed 0, n = 1) after 10,125 steps, on two cores of an AMD EPYC (Zen 4,
AVX-512), jax 0.12.0.1. At 1,463 images/s, the median of its log, that is fifteen minutes. More seeds: not yet run.

The data set's README lists 92.5 % for a submitted network of fewer than 100,000 parameters.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("resnet8_cifar"),
        data=DataConfig("fashion_mnist", batch_size=128, augment=("pad_crop(2)", "horizontal_flip()")),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=24),
    )
