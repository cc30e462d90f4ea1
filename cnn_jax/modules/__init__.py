"""Flax Linen modules over `cnn_jax.ops`: the layers and the blocks that the papers name."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
