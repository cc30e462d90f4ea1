"""Sigmoid against ReLU, by depth.

cnn-jax ablate experiments/ablations/activation_depth.py
"""

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("lenet5", options={"activation": "relu"}),
        data=DataConfig("digits", batch_size=64, augment=("resize(28)",), eval_augment=("resize(28)",)),
        optim=OptimConfig("sgd", learning_rate=0.2),
        train=TrainConfig(epochs=3),
    )
    return Ablation(
        "x",
        base,
        {"sigmoid": {"model.options.activation": "sigmoid"}, "tanh": {"model.options.activation": "tanh"}},
        seeds=range(3),
    )
