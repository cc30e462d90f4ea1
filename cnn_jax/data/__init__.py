"""Data sets as TFDS array_record folders, batches by index arithmetic, augmentation on the device.

Four rooms lie below: `sets` (what each data set is), `store` (prepared sets on the disk), `decoding` (image files),
`augmentation` (inside jit). The files beside this one bring them together.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
