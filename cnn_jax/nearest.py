"""What a mistaken name may have meant."""

import difflib
from collections.abc import Iterable


def nearest_names(name: str, valid: Iterable[str], most: int = 3) -> list[str]:
    """The valid names that begin like a mistaken one, shortest first, and then those that are spelled nearly so.

    Example:
      >>> nearest_names("resnet20", ["resnet50", "resnet20_v2_cifar", "resnet20_cifar", "vgg16"])
      ['resnet20_cifar', 'resnet20_v2_cifar', 'resnet50']
    """
    valid = list(valid)
    longer = sorted((v for v in valid if name and v.startswith(name)), key=len)
    return list(dict.fromkeys([*longer, *difflib.get_close_matches(name, valid, n=most)]))[:most]
