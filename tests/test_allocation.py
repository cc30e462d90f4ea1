"""The console script's allocator: memory is kept between steps unless the user says otherwise."""

import subprocess
import sys

import pytest

from cnn_jax.cli.allocation import keep_memory
from cnn_jax.cli.options import RETURN_MEMORY

# Pages a process asks the system for while it takes and gives back the same 64 MB ten times.
PROBE = """
import resource, sys
import numpy as np
from cnn_jax.cli.allocation import keep_memory
kept = keep_memory(sys.argv[1:])
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(8_000_000)
before = faults()
for _ in range(10):
    np.ones(8_000_000)
print(kept, faults() - before)
"""


def pages(*argv: str) -> tuple[bool, int, str]:
    run = subprocess.run([sys.executable, "-c", PROBE, *argv], capture_output=True, text=True, check=True)
    kept, faults = run.stdout.split()
    return kept == "True", int(faults), run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's mallopt")
def test_kept_memory_needs_no_new_pages() -> None:
    kept, faults, said = pages("--debug", "bench", "lenet5")
    assert kept and RETURN_MEMORY in said
    # 64 MB are 32 huge pages or 15,625 small ones, ten times over, when every array is mapped anew.
    returned, more, nothing = pages("bench", "lenet5", RETURN_MEMORY)
    assert not returned and nothing == ""
    assert faults < 10 < more


@pytest.mark.parametrize(
    "argv", [[], ["--help"], ["summary", "lenet5"], ["train", "x.py", RETURN_MEMORY], [RETURN_MEMORY, "bench"]]
)
def test_other_commands_keep_the_allocator(argv: list[str]) -> None:
    assert not keep_memory(argv)
