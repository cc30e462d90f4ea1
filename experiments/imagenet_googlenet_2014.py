"""GoogLeNet on ImageNet as in 2014: inception blocks, and two auxiliary classifiers that help the middle.

    cnn-jax data prepare imagenet2012 --source DIR
    cnn-jax train experiments/imagenet_googlenet_2014.py

Szegedy et al. 2014, section 6: momentum 0.9, a rate that falls by 4 % every eight epochs, averaged parameters, crops
of 8 to 100 % of the area with aspects from 3/4 to 4/3, changes of colour. The paper leaves out the batch, the
rate, the decay and the length: they are those of Caffe's solver for it (batch 32, rate 0.01, decay 0.0002, ten million
steps, which are 250 epochs).
Deviations: the average is an exponential one; gradients are synchronous; one central crop at evaluation; bfloat16,
where theirs was float32 (`--model.dtype float32`).

Result: not yet run; meant for one GPU, with all 32 images on it. The paper's table 3 reports a top-5 error of 10.07 %
for one network and one crop (6.67 % for seven networks, 144 crops); Caffe's weights, from 60 epochs of a faster
schedule, reach 31.3 % top-1 and 11.1 % top-5.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    epochs = 250
    return Config(
        model=ModelConfig("googlenet_paper", dtype="bfloat16", options={"aux": True}),
        data=DataConfig(
            "imagenet2012",
            batch_size=32,
            validation_fraction=0.0,
            augment=(
                "random_resized_crop(224)",
                "horizontal_flip()",
                "brightness(0.4)",
                "contrast(0.4)",
                "saturation(0.4)",
            ),
            eval_augment=("resize_shorter(256)", "center_crop(224)"),
        ),
        optim=OptimConfig(
            "sgd",
            learning_rate=0.08,
            weight_decay=2e-4,
            arguments={"nesterov": False},
            schedule=f"step(fractions={[epoch / epochs for epoch in range(8, epochs, 8)]}, factor=0.96)",
            ema_decay=0.9999,
        ),
        train=TrainConfig(epochs=epochs),
    )
