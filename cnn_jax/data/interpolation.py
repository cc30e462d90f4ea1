"""How images are scaled, by name."""

from typing import Literal

# A network does best on images scaled as in its training: that is bilinear for torchvision's first weights, and often
# bicubic for timm's.
Interpolation = Literal["bilinear", "bicubic"]
