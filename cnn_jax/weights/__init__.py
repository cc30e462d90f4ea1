"""Weights that travel: between this package and the files of PyTorch (torchvision, timm) and Keras."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
