"""ResNet-50 on MNIST, KMNIST, EMNIST, CIFAR and STL-10: what changes when the images are small, or gray?

The input channels and the classes follow the data set; the stem is a single 3×3 convolution, since the 7×7 with its
pooling would leave the last stage a single pixel of 28×28. STL-10's 96×96 are large enough for the original stem.

    cnn-jax data prepare mnist --source DIR
    cnn-jax train experiments/small_images_resnet50.py
    cnn-jax train experiments/small_images_resnet50.py --data.name kmnist
    cnn-jax train experiments/small_images_resnet50.py --data.name emnist/balanced
    cnn-jax train experiments/small_images_resnet50.py --data.name cifar10 \
        --data.augment "pad_crop(4)" "horizontal_flip()"
    cnn-jax train experiments/small_images_resnet50.py --data.name stl10 --model.options.stem imagenet \
        --data.augment "pad_crop(12)" "horizontal_flip()" --train.epochs 100

Result: not yet run; meant for one GPU, which takes all 128 images, in bfloat16. No published recipe; the KMNIST authors
report 97.82 % for a ResNet-18 with pre-activation, the EMNIST authors 78.02 % on the balanced split for OPIUM, a
network with one hidden layer.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("resnet50", dtype="bfloat16", options={"stem": "cifar"}),
        data=DataConfig("mnist", batch_size=128, augment=("pad_crop(2)",)),
        optim=OptimConfig("sgd", learning_rate=0.1, weight_decay=5e-4, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=30),
    )
