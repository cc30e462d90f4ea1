"""The recipe of `experiments/fashion_small.py` in plain PyTorch: the peer of `time_to_accuracy.py`, which starts it.

    PYTHON time_to_accuracy_torch.py ARRAYS.npz RECIPE_JSON

The same network (75,002 parameters), initialisation, schedule, decay on kernels only, crops and flips drawn per image,
batches of a permutation per epoch. Prints one JSON object: `reached`, `seconds`, `epochs`, `top1`.
"""

import json
import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut without parameters (He et al. 2015, option A)."""

    def __init__(self, before: int, features: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, features, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(features)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(features)
        self.stride, self.new = stride, features - before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """relu(branch(x) + shortcut(x))."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.new or self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new))
        return F.relu(x + y)


def resnet8() -> nn.Sequential:
    """Stem, three blocks of 16, 32 and 64 channels, global average, classifier; He's initialisation by fan-in."""
    stem = [nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    blocks = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    nn.init.normal_(model[-1].weight, std=64**-0.5)
    nn.init.zeros_(model[-1].bias)
    return model.to(memory_format=torch.channels_last)


def augment(images: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """pad_crop(2) and horizontal_flip() of images [n, 28, 28], drawn for each."""
    n, side = images.shape[0], images.shape[1]
    padded = F.pad(images, (2, 2, 2, 2))
    top, left = (torch.from_numpy(random.integers(0, 5, (n, 1))) for _ in range(2))
    rows, columns = top + torch.arange(side), left + torch.arange(side)
    columns = torch.where(torch.from_numpy(random.random((n, 1)) < 0.5), columns.flip(1), columns)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(arrays: dict[str, np.ndarray], recipe: dict) -> dict:
    """Trains until the test top-1 reaches the target, or to the end."""
    torch.manual_seed(recipe["seed"])
    random = np.random.default_rng(recipe["seed"])
    images, labels = torch.from_numpy(arrays["train_images"])[..., 0], torch.from_numpy(arrays["train_labels"]).long()
    test_images, test_labels = torch.from_numpy(arrays["test_images"])[..., 0], torch.from_numpy(arrays["test_labels"])
    mean, std = float(arrays["mean"][0]), float(arrays["std"][0])
    batch, count = recipe["batch_size"], len(images)
    every = round(count / batch)
    steps = recipe["steps"] or round(recipe["epochs"] * count / batch)
    peak, warmup = recipe["learning_rate"] * batch / 256, round(recipe["warmup_fraction"] * steps)

    def prepared(x: torch.Tensor) -> torch.Tensor:
        return ((x.float() / 255 - mean) / std)[:, None].contiguous(memory_format=torch.channels_last)

    def rate(step: int) -> float:
        if step < warmup:
            return peak * step / warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    def make() -> tuple[nn.Sequential, torch.optim.Optimizer]:
        model = resnet8()
        kernels = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim == 1]
        groups = [{"params": kernels, "weight_decay": recipe["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
        return model, torch.optim.SGD(groups, lr=peak, momentum=0.9, nesterov=True)

    def update(model: nn.Sequential, optimizer: torch.optim.Optimizer, index: np.ndarray, step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(prepared(augment(images[index], random))), labels[index]).backward()
        optimizer.step()

    update(*make(), np.arange(batch), 0)  # the first step chooses kernels; it is thrown away
    model, optimizer = make()
    order, seconds, top1 = np.empty(0, np.int64), 0.0, []
    for first in range(0, steps, every):
        model.train()
        began = time.perf_counter()
        for step in range(first, min(first + every, steps)):
            if len(order) < batch:
                order = np.concatenate([order, random.permutation(count)])
            update(model, optimizer, order[:batch], step)
            order = order[batch:]
        seconds += time.perf_counter() - began
        model.eval()
        with torch.inference_mode():
            right = sum(
                (model(prepared(x)).argmax(1) == y).sum().item()
                for x, y in zip(test_images.split(500), test_labels.split(500), strict=True)
            )
        top1.append(right / len(test_labels))
        if top1[-1] >= recipe["target"]:
            break
    return {"reached": top1[-1] >= recipe["target"], "seconds": seconds, "epochs": len(top1), "top1": top1}


if __name__ == "__main__":
    torch.set_num_threads(2)
    print(json.dumps(train(dict(np.load(sys.argv[1])), json.loads(sys.argv[2]))))
