"""Initialisation by depth: deviations √(2/N) (he), 1/√N (lecun), and the 0.01 of 2012 (normal).

Claim of the lecture: initialise by one over the square root of N, the inputs of a neuron. Behind ReLU, which drops half
of the signal, 1/√N loses a factor √2 in each layer, 14 in eight layers and 724 in nineteen; deviation 0.01 loses far
more. Plain networks of 8 and 20 layers at half their width, without normalisation, on 50 images of each digit, ten
epochs. Held equal at each depth: parameters and all but the initialisation. The base is He's, 8 layers.

    cnn-jax ablate experiments/ablations/initialisation.py

Not yet run.
"""

from typing import Any

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def options(kernel_init: str) -> dict[str, Any]:
    """Of a network for CIFAR: plain, without normalisation, at half its width."""
    return {"shortcut": "none", "norm": "none", "width": 0.5, "kernel_init": kernel_init}


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("resnet8_cifar", options=options("he")),
        data=DataConfig("digits", batch_size=32, examples_per_class=50),
        optim=OptimConfig("sgd", learning_rate=0.1, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        f"{init}, depth {layers}": {"model.name": f"resnet{layers}_cifar", "model.options": options(init)}
        for layers in (8, 20)
        for init in ("he", "lecun", "normal")
        if (init, layers) != ("he", 8)
    }
    return Ablation(
        "Does a plain network need weights of deviation 1/√N, and is √(2/N) better behind ReLU?",
        base,
        arms,
        seeds=range(9),
    )
