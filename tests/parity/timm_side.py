"""timm's side of the comparison: run by a Python that has timm, it need not have JAX.

python timm_side.py MODEL FOLDER SIZE…    random weights as timm publishes them, and what they make of random images
"""

import sys

import numpy as np
import timm
import torch
from torchvision_side import randomize


def layers_of(name: str, network: torch.nn.Module) -> dict[str, str]:
    """timm's module for each feature of ours but `logits`, and VGG's `pool`."""
    if name.startswith("vgg"):
        pools = [i for i, m in enumerate(network.features) if isinstance(m, torch.nn.MaxPool2d)]
        stages = {f"stage{n}": f"features.{i}" for n, i in enumerate(pools, start=1)}
        return {"stem": f"features.{2 if name.endswith('bn') else 1}", **stages}
    if name == "inception_v3":
        stages = {"stage1": "Mixed_5d", "stage2": "Mixed_6e", "stage3": "Mixed_7c"}
        return {"stem": "Pool2", **stages, "pool": "global_pool"}
    if name == "resnetv2_50":
        return {"stem": "stem", **{f"stage{i + 1}": f"stages.{i}" for i in range(4)}, "pool": "head.global_pool"}
    return {"stem": "maxpool", **{f"stage{i}": f"layer{i}" for i in range(1, 5)}, "pool": "global_pool"}


@torch.no_grad()
def main(name: str, folder: str, *sizes: str) -> None:
    """Writes `model.safetensors` and `config.json` as timm does, and for each size every feature, channels last."""
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=10).eval()
    randomize(network)
    timm.models.save_for_hf(network, folder, safe_serialization=True)
    seen = {}
    modules = dict(network.named_modules())
    for feature, module in layers_of(name, network).items():
        modules[module].register_forward_hook(lambda m, i, o, feature=feature: seen.update({feature: o.clone()}))
    if name.startswith("vgg"):
        network.pre_logits.fc1.register_forward_pre_hook(lambda m, i: seen.update(pool=i[0].clone()))
    for size in sizes:
        images = torch.randn(2, 3, int(size), int(size), generator=torch.Generator().manual_seed(int(size)))
        seen["logits"] = network(images)
        arrays = {k: v.permute(0, 2, 3, 1) if v.ndim == 4 else v for k, v in seen.items()}
        np.savez(f"{folder}/{size}.npz", images=images.permute(0, 2, 3, 1), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
