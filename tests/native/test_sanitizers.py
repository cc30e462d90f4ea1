"""The kernels under the sanitizers of the compiler: memory, undefined behaviour, races of threads.

`sanitized.cc` runs them on random convolutions. By hand, for AVX2:

    g++ -g -O1 -std=c++17 -mavx2 -mfma -fsanitize=address,undefined -fno-sanitize-recover=all -I tests/native/stand_in \
        -I cnn_jax/native tests/native/sanitized.cc -o sanitized -pthread && ./sanitized 200
"""

import subprocess
from pathlib import Path

import pytest

from cnn_jax.native import build

HERE = Path(__file__).parent
# Sixteen lanes also where the processor has none: the compiler then makes two of eight of them.
LANES = {8: ["-U__AVX512F__"], 16: ["-D__AVX512F__", "-Wno-psabi"]}


@pytest.mark.slow
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_the_kernels_are_clean(tmp_path, sanitizer, lanes):
    program = tmp_path / "sanitized"
    flags = ["-g", "-O1", "-std=c++17", "-mavx2", "-mfma", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    folders = [f"-I{HERE / 'stand_in'}", f"-I{Path(build.__file__).parent}"]
    command = [build.offer().compiler, *flags, *LANES[lanes], "-Wall", "-Wextra", "-Werror", *folders]
    subprocess.run([*command, str(HERE / "sanitized.cc"), "-o", str(program), "-pthread"], check=True)
    done = subprocess.run([str(program), "200"], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("600 cases, 0 wrong\n", "", 0)
