"""VGG-16 on ImageNet as in 2014: how far do 3×3 filters alone go?

    cnn-jax data prepare imagenet2012 --source DIR
    cnn-jax train experiments/imagenet_vgg_2014.py
    cnn-jax train experiments/imagenet_vgg_2014.py --model.name vgg19

Simonyan and Zisserman 2014, section 3.1, single scale: batch 256, rate 0.01 divided by ten three times in 74 epochs,
momentum 0.9, decay 0.0005, dropout 0.5; crops of 224 from images of smaller side 256, flips, colour shift. Deviations:
the crops come from the central 256×256; the drops come at fixed epochs, where the authors watched the validation
error; He's initialisation, and colours of deviation 1 as it wants them, in place of a start from the shallower
network; evaluation on one central crop, not densely; bfloat16, where theirs was float32 (`--model.dtype float32`).

Result: not yet run; meant for 4 GPUs, as theirs, 64 images on each. The paper's table 3 reports an error of 27.0 %
top-1 and 8.8 % top-5 for VGG-16 trained and tested at that scale, 27.3 % and 9.0 % for VGG-19.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("vgg16", dtype="bfloat16"),
        data=DataConfig(
            "imagenet2012",
            batch_size=256,
            validation_fraction=0.0,
            augment=(
                "resize_shorter(256)",
                "center_crop(256)",
                "random_crop(224)",
                "horizontal_flip()",
                "pca_lighting(0.1)",
            ),
            eval_augment=("resize_shorter(256)", "center_crop(224)"),
        ),
        optim=OptimConfig(
            "sgd",
            learning_rate=0.01,
            weight_decay=5e-4,
            decay="all",
            arguments={"nesterov": False},
            schedule="step(fractions=(0.4, 0.7, 0.9))",
        ),
        train=TrainConfig(epochs=74),
    )
