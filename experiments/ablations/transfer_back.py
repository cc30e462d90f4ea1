"""From digits to clothes: what are features of the digits worth where there are ten images of each kind of clothing?

The reverse of `transfer.py`: LeNet-5 learns all 1,258 training images of the digits, once a seed, then ten images of
each class of Fashion-MNIST, and is tested on its 10,000.

    cnn-jax ablate experiments/ablations/transfer_back.py --jobs 2

Result, on two cores of an AMD EPYC that had other work, jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 69.52 ± 1.46 % | ± 1.53 % |  |  |  |  |  |  |
| frozen | 9 | 64.87 ± 0.94 % | ± 1.10 % | -4.66 ± 1.00 % | ± 1.01 % | 0.00391 | lower | 0.74 | 1.80 (1.21 to 3.44) |
| gradually unfrozen | 9 | 68.32 ± 1.24 % | ± 1.33 % | -1.21 ± 1.18 % | ± 1.19 % | 0.0352 | no difference found | 0.63 | 2.13 (1.44 to 4.08) |
| fine-tuned | 9 | 68.53 ± 0.95 % | ± 1.07 % | -0.99 ± 1.20 % | ± 1.21 % | 0.0898 | no difference found | 0.57 | 2.17 (1.47 to 4.16) |

The probe (`transfer_probe.py`): 65.02 ± 0.64 %, −4.51 ± 1.60 % to the base. Features of digits serve clothes no better
than those of clothes serve digits: frozen they are lower, and to start from them helps as little.
"""  # noqa: E501

from transfer import CLOTHES, DIGITS, config, from_pretraining, ten_of_each

from cnn_jax import Ablation


def ablation() -> Ablation:
    return Ablation(
        "What are features of digits worth to ten images of each kind of clothing?",
        config(ten_of_each(CLOTHES), 150),
        from_pretraining(),
        seeds=range(9),
        pretraining=config(DIGITS, 20),
    )
