"""BatchNorm on and off, by learning rate.

Claim of the lecture: convolution, pooling, ReLU and batch normalisation go together; what BatchNorm is said to bring is
larger learning rates (Ioffe and Szegedy 2015, section 3.3). The plain network of 8 layers at half its width, on 50
images of each digit, ten epochs, at two rates a factor of ten apart. Held equal: all but the normalisation, whose
scales and shifts stand in for the biases. The base has none, at the lower rate.

    cnn-jax ablate experiments/ablations/batch_norm.py

Not yet run.
"""

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
