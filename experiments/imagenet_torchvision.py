"""ImageNet by torchvision's first recipe: the one behind its weights called V1.

    cnn-jax data prepare imagenet2012 --source DIR
    cnn-jax train experiments/imagenet_torchvision.py
    cnn-jax train experiments/imagenet_torchvision.py --model.name resnext50_32x4d --train.epochs 100 \
        --optim.schedule "step(fractions=(0.3, 0.6, 0.9))"
    cnn-jax train experiments/imagenet_torchvision.py --model.name alexnet --optim.learning_rate 0.01
    cnn-jax train experiments/imagenet_torchvision.py --model.name vgg16 --optim.learning_rate 0.01
    cnn-jax train experiments/imagenet_torchvision.py --model.name vgg16_bn
    cnn-jax train experiments/imagenet_torchvision.py --model.name googlenet --model.options.aux True

torchvision, references/classification: batch 256 (8 × 32), rate 0.1 divided by ten every 30 of 90 epochs, momentum
0.9, decay 0.0001 (ResNeXt: 100 epochs; AlexNet and VGG without BatchNorm: rate 0.01). torchvision's weights of
GoogLeNet were not trained by it but are "ported from the original paper". In bfloat16, where theirs is float32
(`--model.dtype float32`).

Result: not yet run; meant for 8 GPUs, 32 images on each. torchvision reports top-1 76.130 % for resnet50, 77.618 for
resnext50_32x4d, 56.522 for alexnet, 71.592 for vgg16, 73.360 for vgg16_bn and 69.778 for googlenet.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("resnet50", dtype="bfloat16"),
        data=DataConfig(
            "imagenet2012",
            batch_size=256,
            validation_fraction=0.0,
            augment=("random_resized_crop(224)", "horizontal_flip()"),
            eval_augment=("resize_shorter(256)", "center_crop(224)"),
        ),
        optim=OptimConfig(
            "sgd",
            learning_rate=0.1,
            weight_decay=1e-4,
            decay="all",
            arguments={"nesterov": False},
            schedule=f"step(fractions={(1 / 3, 2 / 3)})",
        ),
        train=TrainConfig(epochs=90),
    )
