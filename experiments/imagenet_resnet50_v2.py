"""ResNet-50 on ImageNet by torchvision's second recipe, the one behind its weights called V2: 600 epochs, all tricks.

    cnn-jax data prepare imagenet2012 --source DIR
    cnn-jax train experiments/imagenet_resnet50_v2.py --parallel.strategy fsdp

torchvision, references/classification: batch 1,024 (8 × 128), rate 0.5 (0.125 at batch 256) on a cosine after five
epochs of warm-up, decay 0.00002 but not on normalisation, label smoothing, TrivialAugment, random erasing, mixup or
cutmix, crops of 176 in training and 224 in evaluation, averaged parameters. Deviations: no repeated augmentation (four
copies of each image an epoch); the average is updated every step with the same time constant, not every 32 steps, and
from the first step on, not from the end of the warm-up; erased pixels become gray, not the mean colour; bfloat16, where
theirs is float32 (`--model.dtype float32`).

Result: not yet run; meant for 8 GPUs, 128 images on each. torchvision reports 80.858 % top-1.
"""

from cnn_jax import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def config() -> Config:
    return Config(
        model=ModelConfig("resnet50", dtype="bfloat16"),
        data=DataConfig(
            "imagenet2012",
            batch_size=1024,
            validation_fraction=0.0,
            augment=(
                "random_resized_crop(176)",
                "horizontal_flip()",
                "trivial_augment()",
                "random_erasing(0.1, area=(0.02, 0.33), fill=115)",
            ),
            mix=("mixup(0.2)", "cutmix(1.0)"),
            eval_augment=("resize_shorter(232)", "center_crop(224)"),
        ),
        optim=OptimConfig(
            "sgd",
            learning_rate=0.125,
            weight_decay=2e-5,
            decay="(?!.*norm)",
            arguments={"nesterov": False},
            schedule="optax:warmup_cosine_decay_schedule(init_value=0.005)",
            warmup_fraction=5 / 600,
            label_smoothing=0.1,
            # (1 − 0.00002 · 1,024 · 32 / 600) every 32 steps there.
            ema_decay=0.999966,
        ),
        train=TrainConfig(epochs=600),
    )
