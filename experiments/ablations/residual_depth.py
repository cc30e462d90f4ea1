"""Plain against residual, by depth.

Claim of the lecture: the identity, copied as it is, means nothing by itself and allows depth; deeper is more accurate.
Networks for CIFAR of 8 and 20 layers (He et al. 2015, section 4.2) at half their width, with BatchNorm, on 50 images of
each digit, ten epochs. A plain network and its residual twin have the same parameters and MACs: shortcuts of kind A
have none. The base is the plain network of 8 layers.

    cnn-jax ablate experiments/ablations/residual_depth.py

Result, in about 6 minutes of one core without the runs' pictures, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 94.31 ± 0.98 % | ± 1.71 % |  |  |  |  |  |  |
| plain, 20 layers | 9 | 91.24 ± 1.37 % | ± 1.90 % | -3.06 ± 1.79 % | ± 1.87 % | 0.00781 | lower | -0.14 | 2.97 (2.00 to 5.69) |
| residual, 20 layers | 9 | 95.45 ± 0.73 % | ± 1.42 % | +1.15 ± 1.53 % | ± 1.55 % | 0.133 | no difference found | -0.60 | 2.54 (1.71 to 4.86) |

The claim shows by halves. With depth the plain network gets worse, by 3.1 points in ten epochs, and the residual one
does not. That a deeper one is more accurate is not found: 20 residual layers are 1.2 ± 1.5 points above the base, and
nine seeds find 2.5 in four studies of five.
"""  # noqa: E501

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
