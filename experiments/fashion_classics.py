"""Fashion-MNIST with the classics: what did each step, from LeNet-5 to the residual networks, bring?

    cnn-jax data prepare fashion_mnist --source DIR
    cnn-jax train experiments/fashion_classics.py
    cnn-jax train experiments/fashion_classics.py --model.name resnet20_cifar
    cnn-jax train experiments/fashion_classics.py --model.name vgg11_bn --model.options.width 0.125 \
        --data.augment "pad(2)" "pad_crop(2)" "horizontal_flip()" --data.eval_augment "pad(2)"
    cnn-jax train experiments/fashion_classics.py --model.name googlenet --model.options.width 0.25 \
        --data.augment "resize(64)" "pad_crop(4)" "horizontal_flip()" --data.eval_augment "resize(64)"

VGG's five poolings need 32×32 pixels, GoogLeNet's stem divides by eight before its first inception block.

Results, test top-1 after five epochs (seed 0, n = 1; two cores of an AMD EPYC, Zen 4, jax 0.12.0.1): LeNet-5, 61,706
parameters, 88.55 %; VGG-11 with BatchNorm at an eighth of its width, 2,019,034 parameters, 89.57 %; GoogLeNet at a
quarter of its width, 355,490 parameters, 90.98 %; ResNet-20, 269,434 parameters, 91.87 %. More seeds: not yet run. The
data set's README lists 87.6 to 96.7 % for convolutional networks.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("lenet5"),
        data=DataConfig("fashion_mnist", batch_size=128, augment=("pad_crop(2)", "horizontal_flip()")),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.15),
        train=TrainConfig(epochs=5),
    )
