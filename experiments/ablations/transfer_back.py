"""From digits to clothes: what are features of the digits worth where there are ten images of each kind of clothing?

The reverse of `transfer.py`: LeNet-5 learns all 1,258 training images of the digits, once a seed, then ten images of
each class of Fashion-MNIST, and is tested on its 10,000.

    cnn-jax ablate experiments/ablations/transfer_back.py --jobs 2

Not yet run.

| arm |
| --- |
| base |
| frozen |
| gradually unfrozen |
| fine-tuned |
"""

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
