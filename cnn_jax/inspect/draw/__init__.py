"""What looking into a network gives, as matplotlib figures; each is read on a screen 390 pixels wide."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
