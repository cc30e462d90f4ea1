"""ResNet-20 to ResNet-110 on CIFAR-10, by the schedule of He et al. 2015, section 4.2: what does depth bring?

    cnn-jax data prepare cifar10 --source DIR
    cnn-jax train experiments/cifar_resnet.py
    cnn-jax train experiments/cifar_resnet.py --model.name resnet56_cifar
    cnn-jax train experiments/cifar_resnet.py --model.name plain56_cifar
    cnn-jax train experiments/cifar_resnet.py --model.name resnet110_cifar --optim.warmup_fraction 0.00625

Batch 128, rate 0.1 (0.2 at batch 256), divided by ten after 32,000 and 48,000 of 64,000 steps; 45,000 images for
training and 5,000 for validation. Deviations: channels are brought to mean 0 and deviation 1, where the paper
subtracts the mean of each pixel; the 110 layers warm up linearly over 400 steps, not at a rate of 0.01 until the
training error is below 80 %.

Result: not yet run. The paper's table 6 reports a test error of 8.75 % for 20 layers, 7.51 for 32, 7.17 for 44, 6.97
for 56 and 6.61 ± 0.16 (five runs) for 110.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("resnet20_cifar"),
        data=DataConfig("cifar10", batch_size=128, augment=("pad_crop(4)", "horizontal_flip()")),
        optim=OptimConfig(
            "sgd",
            {"nesterov": False},
            learning_rate=0.2,
            weight_decay=1e-4,
            decay="all",
            schedule="step(fractions=(0.5, 0.75))",
        ),
        train=TrainConfig(steps=64_000),
    )
