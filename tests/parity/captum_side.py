"""The other side of the comparison of Grad-CAM and integrated gradients: run by a Python that has Captum.

python captum_side.py MODEL FOLDER SIZE LAYER STEPS DTYPE    random weights, random images, and what Captum says of them
"""

import sys

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from safetensors.torch import save_file
from torchvision_side import build, randomize


def write_attributions(name: str, folder: str, size: str, layer: str, steps: str, dtype: str) -> None:
    """Writes the weights; of two images, for the second class and the last, both attributions, channels last."""
    torch.manual_seed(0)
    network = build(name, 10)
    randomize(network)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, f"{folder}/weights.safetensors")
    images = torch.randn(2, 3, int(size), int(size), generator=torch.Generator().manual_seed(1))
    network, images = network.to(getattr(torch, dtype)), images.to(getattr(torch, dtype))
    classes, baseline = torch.tensor([1, 9]), torch.full_like(images, -1.5)
    cam = LayerGradCam(network, dict(network.named_modules())[layer]).attribute(images, classes, relu_attributions=True)
    shares, gap = IntegratedGradients(network).attribute(
        images, baseline, classes, n_steps=int(steps), method="gausslegendre", return_convergence_delta=True
    )
    arrays = {"images": images, "cam": cam, "shares": shares}
    channels_last = {name: array.detach().permute(0, 2, 3, 1) for name, array in arrays.items()}
    np.savez(f"{folder}/captum.npz", gap=gap.detach(), **channels_last)


if __name__ == "__main__":
    write_attributions(*sys.argv[1:])
