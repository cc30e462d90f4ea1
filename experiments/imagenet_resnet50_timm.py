"""ResNet-50 on ImageNet by timm's procedures A1, A2 and A3: how good is the network of 2015 with the training of 2021?

    cnn-jax data prepare imagenet2012 --source DIR
    cnn-jax train experiments/imagenet_resnet50_timm.py
    cnn-jax train experiments/imagenet_resnet50_timm.py --train.epochs 600 --optim.warmup_fraction 0.00833 \
        --optim.weight_decay 0.01 --optim.label_smoothing 0.1 --data.mix "mixup(0.2)" "cutmix(1.0)"
    cnn-jax train experiments/imagenet_resnet50_timm.py --train.epochs 100 --optim.warmup_fraction 0.05 \
        --optim.learning_rate 0.008 --model.options.drop_path 0 --data.mix "mixup(0.1)" "cutmix(1.0)" \
        --data.augment "random_resized_crop(160)" "horizontal_flip()" "rand_augment(2, 6)"

Wightman, Touvron and Jégou 2021, table 2: A2 as it stands, A1 and A3 by the second and third command. LAMB at batch
2,048, rate 0.005 (0.008 for A3), cosine after five epochs of warm-up from 0.0001, binary cross entropy. Deviations: the
targets of mixed images stay their shares, where the paper takes each class for present; no repeated augmentation (A1,
A2); RandAugment applies each of its operations, always at that strength, where timm's applies it with probability 1/2,
at a strength that varies; LAMB scales the steps of biases and normalisation too. In bfloat16; the paper's runs are of
mixed precision as well.

Result: not yet run; meant for 8 GPUs, 256 images on each. The paper's table 1 reports 80.4 % top-1 for A1, 79.8 for A2
and 78.1 for A3 at 224×224.
"""

from jaxtyping import Array

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from cnn_jax.training import sigmoid_cross_entropy


def binary_cross_entropy(logits: Array, targets: Array, num_classes: int, label_smoothing: float = 0.0) -> Array:
    """The mean over the classes, as timm's; ours is their sum."""
    return sigmoid_cross_entropy(logits, targets, label_smoothing) / num_classes


def config() -> Config:
    return Config(
        model=ModelConfig("resnet50", dtype="bfloat16", options={"drop_path": 0.05}),
        data=DataConfig(
            "imagenet2012",
            batch_size=2048,
            validation_fraction=0.0,
            augment=("random_resized_crop(224)", "horizontal_flip()", "rand_augment(2, 7)"),
            mix=("mixup(0.1)", "cutmix(1.0)"),
            eval_augment=("resize_shorter(236)", "center_crop(224)"),
        ),
        optim=OptimConfig(
            "lamb",
            learning_rate=0.005,
            lr_scaling="none",
            weight_decay=0.02,
            schedule="optax:warmup_cosine_decay_schedule(init_value=0.0001)",
            warmup_fraction=5 / 300,
            clip_norm=1.0,  # timm's LAMB does so unless told otherwise
        ),
        train=TrainConfig(epochs=300, loss=binary_cross_entropy),
    )
