"""BatchNorm on and off, by learning rate.

Claim of the lecture: convolution, pooling, ReLU and batch normalisation go together; what BatchNorm is said to bring is
larger learning rates (Ioffe and Szegedy 2015, section 3.3). The plain network of 8 layers at half its width, on 50
images of each digit, ten epochs, at two rates a factor of ten apart. Held equal: all but the normalisation, whose
scales and shifts stand in for the biases. The base has none, at the lower rate.

    cnn-jax ablate experiments/ablations/batch_norm.py

Result, in about 3 minutes of one core without the runs' pictures, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 93.96 ± 0.81 % | ± 1.68 % |  |  |  |  |  |  |
| without, rate 2.0 | 9 | 38.63 ± 28.02 % | ± 28.03 % | -55.34 ± 27.73 % | ± 27.75 % | 0.00391 | lower | 0.37 | 50.03 (33.79 to 95.84) |
| BatchNorm, rate 0.2 | 9 | 94.21 ± 0.62 % | ± 1.67 % | +0.25 ± 0.72 % | ± 0.97 % | 0.562 | no difference found | 0.52 | 1.30 (0.88 to 2.49) |
| BatchNorm, rate 2.0 | 9 | 96.69 ± 0.52 % | ± 1.27 % | +2.72 ± 1.22 % | ± 1.27 % | 0.00391 | higher | -0.67 | 2.20 (1.49 to 4.22) |

The claim shows. At ten times the rate the network without BatchNorm falls to 39 %, some seeds to chance, and the one
with it becomes better: 2.7 points above the base. At the lower rate BatchNorm makes no difference that was found, so
here its gain is the rate that it allows.
"""  # noqa: E501

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("resnet8_cifar", options={"shortcut": "none", "norm": "none", "width": 0.5}),
        data=DataConfig("digits", batch_size=32, examples_per_class=50),
        optim=OptimConfig("sgd", learning_rate=0.2, schedule="cosine"),
        train=TrainConfig(epochs=10, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        f"{name}, rate {rate}": {"model.options.norm": norm, "optim.learning_rate": rate}
        for name, norm in (("without", "none"), ("BatchNorm", "batch"))
        for rate in (0.2, 2.0)
        if (norm, rate) != ("none", 0.2)
    }
    return Ablation(
        "Does BatchNorm allow learning rates at which the network without it fails?", base, arms, seeds=range(9)
    )
