"""How PyTorch lays an array out, and how it is laid out here."""

import numpy as np
from flax import linen as nn

from cnn_jax.models import Network
from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.googlenet import GoogLeNet
from cnn_jax.models.vgg import VGG

# The maps that the first dense layer flattens; PyTorch orders them (channel, row, column), we (row, column, channel).
_FLATTENED: dict[tuple[type[Network], str], int] = {
    (VGG, "fc6"): 7,
    (AlexNet, "fc6"): 6,
    (GoogLeNet, "aux1_fc"): 4,
    (GoogLeNet, "aux2_fc"): 4,
}


def shape_of(tensor: np.ndarray, ndim: int) -> tuple[int, ...]:
    """The shape; of a convolution that is a dense layer of ours, as that layer's."""
    dense = tensor.ndim == 4 and ndim == 2 and tensor.size
    return (len(tensor), tensor.size // len(tensor)) if dense else tensor.shape


def from_torch(model: nn.Module, path: tuple[str, ...], tensor: np.ndarray, ndim: int) -> np.ndarray:
    """OIHW to HWIO, [out, in] to [in, out]; a convolution that is a dense layer of ours (timm's VGG) is flattened."""
    if path[-1] != "kernel" or not isinstance(model, Network):
        return tensor
    if tensor.ndim == 4 and ndim == 2 and tensor.size:
        tensor = tensor.reshape(len(tensor), -1)
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    side = _FLATTENED.get((type(model), path[1]))
    if side and tensor.ndim == 2 and tensor.shape[1] % side**2 == 0:
        out, into = tensor.shape
        tensor = tensor.reshape(out, into // side**2, side, side).transpose(0, 2, 3, 1).reshape(out, into)
    return tensor.T


def to_torch(model: nn.Module, path: tuple[str, ...], array: np.ndarray) -> np.ndarray:
    """HWIO to OIHW, [in, out] to [out, in]."""
    if path[-1] != "kernel" or not isinstance(model, Network):
        return array
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    side = _FLATTENED.get((type(model), path[1]))
    tensor = array.T
    if side:
        out, into = tensor.shape
        tensor = tensor.reshape(out, side, side, into // side**2).transpose(0, 3, 1, 2).reshape(out, into)
    return tensor
