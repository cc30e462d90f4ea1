"""One training step of PyTorch, channels last; as a program of its own in eager mode on the CPU.

It needs an environment of its own: torch 2.13.0 and numpy on Python 3.11.

    TORCH_PYTHON experiments/benchmarks/peer_torch.py resnet50 --batch 16
"""

import torch
import torch.nn.functional as F
from peer_networks import Layers, Step, main
from torch import nn


class Branches(nn.Module):
    """Branches beside each other, their channels one after another."""

    def __init__(self, branches: list[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Residual(nn.Module):
    """relu(branch + shortcut); with `grown` channels, the shortcut strides and pads."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, grown: int) -> None:
        super().__init__()
        self.branch, self.shortcut, self.grown = branch, shortcut, grown

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.branch(x)
        if self.grown:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.grown))
        return F.relu(y + self.shortcut(x))


def build(layers: Layers, channels: int) -> tuple[nn.Module, int]:
    """The layers as a module, and how many channels they put out; dense layers find their inputs at the first call."""
    modules: list[nn.Module] = []
    for name, *numbers in layers:
        match name:
            case "conv":
                filters, window, stride, padding, bias = numbers
                modules.append(nn.Conv2d(channels, filters, window, stride, padding, bias=bias))
                channels = filters
            case "norm":
                modules.append(nn.BatchNorm2d(channels))
            case "relu":
                modules.append(nn.ReLU(inplace=True))
            case "tanh":
                modules.append(nn.Tanh())
            case "max_pool":
                window, stride, padding, ceil = numbers
                modules.append(nn.MaxPool2d(window, stride, padding, ceil_mode=ceil))
            case "avg_pool":
                modules.append(nn.AvgPool2d(numbers[0]))
            case "mean":
                modules += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
            case "flatten":
                modules.append(nn.Flatten())
            case "dropout":
                modules.append(nn.Dropout(numbers[0]))
            case "dense":
                modules.append(nn.LazyLinear(numbers[0]))
            case "branches":
                built = [build(branch, channels) for branch in numbers]
                modules.append(Branches([module for module, _ in built]))
                channels = sum(width for _, width in built)
            case "residual":
                branch, width = build(numbers[0], channels)
                padded = numbers[1] == "pad"
                shortcut = nn.Identity() if padded else build(numbers[1], channels)[0]
                modules.append(Residual(branch, shortcut, width - channels if padded else 0))
                channels = width
    return nn.Sequential(*modules), channels


def prepare(
    layers: Layers, batch: int, channels: int, size: int, dtype: str, *, device: str = "cpu", compiled: bool = False
) -> Step:
    """A step on noise; SGD with Nesterov momentum, bfloat16 through autocast, float32 products in TF32 on a GPU.

    Args:
      compiled: by `torch.compile`; else eager.
    """
    if device != "cpu":
        torch.backends.cudnn.benchmark = True  # the usual setting for speed; TF32 is cuDNN's default
        torch.set_float32_matmul_precision("high")
    images = torch.randn(batch, channels, size, size, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % layers[-1][1]
    model = build(layers, channels)[0].to(device)
    with torch.no_grad():
        model(images)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, fused=device != "cpu")
    forward = torch.compile(model) if compiled else model

    def step() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            logits = forward(images)
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


if __name__ == "__main__":
    main(prepare, "torch", torch.__version__)
