"""Training: the state, the step, the loop, and the run folder that they fill."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
