"""Data sets as TFDS array_record folders, batches by index arithmetic, augmentation on the device."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
