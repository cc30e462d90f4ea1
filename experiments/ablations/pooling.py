"""Max against average pooling.

Claim of the lecture: a group of pixels is represented by its maximum or by its average; VGG takes the maximum. LeNet-5
on 20 images of each digit, enlarged to 28×28, for 20 epochs. Held equal: the 61,706 parameters, since neither pooling
has any, and all else. The base has the average, and tanh, as in 1998.

    cnn-jax ablate experiments/ablations/pooling.py

Result, in about 2 minutes of one core without the runs' pictures, on an AMD EPYC (Zen 3, AVX2) with jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 92.05 ± 1.66 % | ± 2.41 % |  |  |  |  |  |  |
| maximum | 9 | 92.05 ± 1.56 % | ± 2.35 % | +0.00 ± 0.63 % | ± 0.67 % | 1 | no difference found | 0.92 | 0.90 (0.61 to 1.73) |

No difference found: both are at 92.05 % on average, with a difference of 0.00 ± 0.63 points; seeds pair well here
(0.92), so that one of 0.9 points would have been found in four studies of five. What VGG takes, LeNet-5 on digits does
not ask for.
"""  # noqa: E501

from cnn_jax import Ablation, Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def ablation() -> Ablation:
    base = Config(
        model=ModelConfig("lenet5", options={"pool": "avg", "activation": "tanh"}),
        data=DataConfig(
            "digits", batch_size=16, examples_per_class=20, augment=("resize(28)",), eval_augment=("resize(28)",)
        ),
        optim=OptimConfig("sgd", learning_rate=0.2, weight_decay=5e-4, schedule="cosine"),
        train=TrainConfig(epochs=20, log_every=1000, eval_every=1000, checkpoint_every=1000),
    )
    arms = {
        "maximum": {"model.options.pool": "max"},
    }
    return Ablation("Maximum or average in LeNet-5's pooling?", base, arms, seeds=range(9))
