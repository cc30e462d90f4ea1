"""Initialisation: deviations √(2/N) (He), 1/√N, and the 0.01 of 2012.

Claim of the lecture: initialise by one over the square root of N, the inputs of a neuron. Behind ReLU, which drops half
of the signal, 1/√N loses a factor √2 in each layer, and 0.01 far more. The plain network of 8 layers at half its width,
without normalisation, on 50 images of each digit, ten epochs. Held equal: parameters, rate, order. The base is He's.

    cnn-jax ablate experiments/ablations/initialisation.py

Result, in about 3 minutes of one core with the pictures of some runs, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 91.86 ± 1.49 % | ± 2.19 % |  |  |  |  |  |  |
| 1÷√N | 9 | 35.07 ± 14.38 % | ± 14.39 % | -56.79 ± 13.50 % | ± 13.51 % | 0.00391 | lower | 0.63 | 22.36 (15.10 to 42.84) |
| 0.01 | 9 | 9.94 ± 0.11 % | ± 1.06 % | -81.93 ± 1.43 % | ± 2.10 % | 0.00391 | lower | 0.59 | 2.36 (1.60 to 4.53) |

The claim shows by halves. Weights must grow with 1/√N: with 0.01 nothing is learned, every seed is at chance. But
behind ReLU the lecture's 1/√N is too little: already in eight layers it costs 57 points in ten epochs, and the seeds
are far apart. √(2/N) is what trains.
"""  # noqa: E501

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
