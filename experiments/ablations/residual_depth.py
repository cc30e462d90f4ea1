"""Plain against residual, by depth.

Claim of the lecture: the identity, copied as it is, means nothing by itself and allows depth; deeper is more accurate.
Networks for CIFAR of 8 and 20 layers (He et al. 2015, section 4.2) at half their width, with BatchNorm, on 50 images of
each digit, ten epochs. A plain network and its residual twin have the same parameters and MACs: shortcuts of kind A
have none. The base is the plain network of 8 layers.

    cnn-jax ablate experiments/ablations/residual_depth.py

Not yet run.
"""

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("resnet8_cifar", options={"shortcut": "none", "width": 0.5}),
        data=DataConfig("digits", batch_size=32, examples_per_class=50),
        optim=OptimConfig("sgd", learning_rate=0.2, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        name: {"model.name": "resnet20_cifar", "model.options.shortcut": shortcut, "model.options.width": 0.5}
        for name, shortcut in (("plain, 20 layers", "none"), ("residual, 20 layers", "A"))
    }
    return Ablation("Do plain networks get worse with depth, and residual ones not?", base, arms, seeds=range(9))
