"""AlexNet on ImageNet as in 2012: two groups of filters, local response normalisation, 60,965,224 parameters.

    cnn-jax data prepare imagenet2012 --source DIR
    cnn-jax train experiments/imagenet_alexnet_2012.py

Krizhevsky et al. 2012: batch 128, rate 0.01 (0.02 at batch 256) divided by ten three times in about 90 epochs,
momentum 0.9, decay 0.0005 (section 5); random crops and flips of 256×256 images, colour shifted along the principal
components, ten views averaged (section 4.1). Deviations: the drops come at fixed epochs, where the authors
watched the validation error; the mean is subtracted by channel, not by pixel; products are of bfloat16, where theirs
were of float32 (`--model.dtype float32`).

Result: not yet run; meant for one GPU, with all 128 images on it. The paper's table 2 reports an error of 40.7 % top-1
and 18.2 % top-5 on the validation images (one network); it takes five to six days on two GTX 580.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("alexnet_paper", dtype="bfloat16"),
        data=DataConfig(
            "imagenet2012",
            batch_size=128,
            validation_fraction=0.0,
            augment=(
                "resize_shorter(256)",
                "center_crop(256)",
                "random_crop(227)",
                "horizontal_flip()",
                "pca_lighting(0.1)",
            ),
            eval_augment=("resize_shorter(256)", "center_crop(256)"),
            eval_views="ten_crop(227)",
            # Values up to 255, less their mean: the initialisation with deviation 0.01 is made for them.
            std=(1 / 255,),
        ),
        optim=OptimConfig(
            "sgd",
            learning_rate=0.02,
            weight_decay=5e-4,
            decay="all",
            arguments={"nesterov": False},
            schedule=f"step(fractions={(1 / 3, 2 / 3, 5 / 6)})",
        ),
        train=TrainConfig(epochs=90),
    )
