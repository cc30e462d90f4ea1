"""From clothes to digits, with all images of each digit: are features of Fashion-MNIST worth anything then?

As `transfer.py`, which is to be run before: its pre-trained networks are where the arms start from. All 1,258 training
images in place of a hundred, 20 epochs.

    cnn-jax ablate experiments/ablations/transfer_all.py --jobs 2

Result, on two cores of an AMD EPYC that had other work, jax 0.12.0.1:

| arm | n | mean | of all examples | difference to base | of all examples | p | verdict | correlation | found in 80 % |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| base | 9 | 98.61 ± 0.43 % | ± 0.98 % |  |  |  |  |  |  |
| frozen | 9 | 87.90 ± 0.96 % | ± 2.73 % | -10.71 ± 1.03 % | ± 2.55 % | 0.00391 | lower | 0.04 | 1.86 (1.26 to 3.57) |
| gradually unfrozen | 9 | 98.45 ± 0.51 % | ± 0.93 % | -0.15 ± 0.65 % | ± 0.69 % | 0.664 | no difference found | 0.05 | 1.18 (0.79 to 2.25) |
| fine-tuned | 9 | 98.76 ± 0.44 % | ± 0.93 % | +0.15 ± 0.66 % | ± 0.68 % | 0.672 | no difference found | -0.15 | 1.19 (0.81 to 2.28) |

The probe: 95.64 ± 0.75 %, −2.97 ± 0.84 % to the base. It is eight points better than the head that SGD trains on the
same frozen features in these 20 epochs: what is missing there is not in the features alone.
"""  # noqa: E501

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from transfer import ARMS, DIGITS, config

from cnn_jax import Ablation, Config


def from_clothes(optim: Mapping[str, Any]) -> Callable[[Config, int], Config]:
    def arm(base: Config, seed: int) -> Config:
        model = replace(base.model, weights=f"studies/transfer/pretraining/seed-{seed}", new_head=True)
        return replace(base, model=model, optim=replace(base.optim, **optim))

    return arm


def ablation() -> Ablation:
    arms = {name: from_clothes(optim) for name, optim in ARMS.items()}
    question = "What are features of clothes worth to all images of the digits?"
    return Ablation(question, config(DIGITS, 20), arms, seeds=range(9))
