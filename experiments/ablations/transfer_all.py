"""From clothes to digits, with all images of each digit: are features of Fashion-MNIST worth anything then?

As `transfer.py`, which is to be run before: its pre-trained networks are where the arms start from. All 1,258 training
images in place of a hundred, 20 epochs.

    cnn-jax ablate experiments/ablations/transfer_all.py --jobs 2

Not yet run.

| arm |
| --- |
| base |
| frozen |
| gradually unfrozen |
| fine-tuned |
"""

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
