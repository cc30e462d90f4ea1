"""Training: the algorithm. A state, its step, and what the step is made of."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
