"""Runs: what happens to a folder. Planned, trained, evaluated, listed, compared; its weights brought in and out."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
