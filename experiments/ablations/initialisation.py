"""Initialisation: deviations √(2/N) (He), 1/√N, and the 0.01 of 2012.

Claim of the lecture: initialise by one over the square root of N, the inputs of a neuron. Behind ReLU, which drops half
of the signal, 1/√N loses a factor √2 in each layer, and 0.01 far more. The plain network of 8 layers at half its width,
without normalisation, on 50 images of each digit, ten epochs. Held equal: parameters, rate, order. The base is He's.

    cnn-jax ablate experiments/ablations/initialisation.py

Not yet run.
"""

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig(
            "resnet8_cifar", options={"shortcut": "none", "norm": "none", "width": 0.5, "kernel_init": "he"}
        ),
        data=DataConfig("digits", batch_size=32, examples_per_class=50),
        optim=OptimConfig("sgd", learning_rate=0.1, schedule="cosine", warmup_fraction=0.1),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        "1÷√N": {"model.options.kernel_init": "lecun"},
        "0.01": {"model.options.kernel_init": "normal"},
    }
    return Ablation(
        "Behind ReLU, is a deviation of √(2/N) better than the lecture's 1/√N, and than 0.01?",
        base,
        arms,
        seeds=range(9),
    )
