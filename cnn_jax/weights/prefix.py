"""What stands before the names of a network wrapped in another: `module.`, `_orig_mod.`, `backbone.` and such."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def without_prefix(tensors: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """The tensors under the names that are left when what all of them begin with is cut off, where that is a wrapping.

    Args:
      known: the names that are looked for; of all beginnings in common, the one that leaves most of them is cut off.
    """
    columns = zip(*(name.split(".")[:-1] for name in tensors), strict=False)
    parts = [column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns)]
    beginnings = ["".join(f"{part}." for part in parts[:count]) for count in range(len(parts) + 1)]
    best = max(beginnings, key=lambda start: sum(name[len(start) :] in known for name in tensors))
    return {name[len(best) :]: tensor for name, tensor in tensors.items()}


def most_common_prefix(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    """What stands before most of `wanted` among `names`, where that is so for half of them; else None."""
    wanted, found = set(wanted), Counter[str]()
    for name in names:
        parts = name.split(".")
        for count in range(1, len(parts)):
            if ".".join(parts[count:]) in wanted:
                found[".".join(parts[:count]) + "."] += 1
    prefix, times = next(iter(found.most_common(1)), ("", 0))
    return prefix if 2 * times >= len(wanted) > 0 else None
