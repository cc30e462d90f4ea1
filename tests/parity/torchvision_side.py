"""The other side of the comparison: run by a Python that has torchvision, it need not have JAX.

python torchvision_side.py features MODEL FOLDER SIZE…    random weights, and what they make of random images
python torchvision_side.py load MODEL FILE CLASSES         `load_state_dict(strict=True)` of a file of ours
"""

import sys

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file


def build(name: str, classes: int) -> torch.nn.Module:
    """A network of torchvision without downloaded weights."""
    keywords = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return getattr(torchvision.models, name)(weights=None, num_classes=classes, **keywords).eval()


def randomize(network: torch.nn.Module) -> None:
    """Statistics, scales and biases that are not zero and one, so that a mistake in any of them shows."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.weight.data.normal_(1.0, 0.2, generator=generator)
            module.bias.data.normal_(0.0, 0.2, generator=generator)
        elif getattr(module, "bias", None) is not None:
            module.bias.data.normal_(0.0, 0.2, generator=generator)


def layers_of(name: str, network: torch.nn.Module) -> dict[str, str]:
    """torchvision's module for each feature of ours."""
    if name.startswith("vgg"):
        pools = [i for i, m in enumerate(network.features) if isinstance(m, torch.nn.MaxPool2d)]
        stages = {f"stage{n}": f"features.{i}" for n, i in enumerate(pools, start=1)}
        return {"stem": f"features.{2 if name.endswith('bn') else 1}", **stages, "pool": "avgpool"}
    if name == "alexnet":
        stages = {"stage1": "features.2", "stage2": "features.5", "stage3": "features.12"}
        return {"stem": "features.1", **stages, "pool": "avgpool"}
    if name == "googlenet":
        stages = {"stage1": "inception3b", "stage2": "inception4e", "stage3": "inception5b"}
        return {"stem": "maxpool2", **stages, "pool": "avgpool"}
    if name == "inception_v3":
        stages = {"stage1": "Mixed_5d", "stage2": "Mixed_6e", "stage3": "Mixed_7c"}
        return {"stem": "maxpool2", **stages, "pool": "avgpool"}
    return {"stem": "maxpool", **{f"stage{i}": f"layer{i}" for i in range(1, 5)}, "pool": "avgpool"}


@torch.no_grad()
def write_features(name: str, folder: str, *sizes: str) -> None:
    """Writes the weights, and for each size the images and every feature, channels last."""
    torch.manual_seed(0)
    network = build(name, 10)
    randomize(network)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, f"{folder}/weights.safetensors")
    seen = {}
    modules = dict(network.named_modules())
    for feature, module in layers_of(name, network).items():
        modules[module].register_forward_hook(lambda m, i, o, feature=feature: seen.update({feature: o.clone()}))
    auxiliary = {"googlenet": {"aux1": "inception4a", "aux2": "inception4d"}, "inception_v3": {"aux1": "Mixed_6e"}}
    for feature, module in auxiliary.get(name, {}).items():
        head = network.AuxLogits if name == "inception_v3" else getattr(network, feature)
        modules[module].register_forward_hook(
            lambda m, i, o, feature=feature, head=head: seen.update({feature: head(o.clone())})
        )
    for size in sizes:
        images = torch.randn(2, 3, int(size), int(size), generator=torch.Generator().manual_seed(int(size)))
        seen["logits"] = network(images)
        arrays = {k: v.permute(0, 2, 3, 1) if v.ndim == 4 else v for k, v in seen.items()}
        np.savez(f"{folder}/{size}.npz", images=images.permute(0, 2, 3, 1), **arrays)


def load(name: str, file: str, classes: str) -> None:
    """Loads a file strictly, and checks that every tensor arrived."""
    network, tensors = build(name, int(classes)), load_file(file)
    network.load_state_dict(tensors, strict=True)
    state = network.state_dict()
    assert all(torch.equal(state[key], tensor) for key, tensor in tensors.items())


if __name__ == "__main__":
    {"features": write_features, "load": load}[sys.argv[1]](*sys.argv[2:])
