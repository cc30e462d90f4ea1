"""The kernels under the sanitizers of the compiler: memory, undefined behaviour, races of threads.

`sanitized.cc` runs them on random convolutions, `sanitized_layers.cc` on normalisations and poolings, in each form that
a processor may get: vectors of 8 and 16 lanes, pairs of bfloat16 and tiles, whose instructions
`stand_in/instructions.h` carries out. By hand, for AVX2:

    g++ -g -O1 -std=c++17 -mavx2 -mfma -fsanitize=address,undefined -fno-sanitize-recover=all -I tests/native/stand_in \
        -I cnn_jax/native tests/native/sanitized.cc -o sanitized -pthread && ./sanitized 200
"""

import subprocess
from pathlib import Path

import pytest

from cnn_jax.native import build

HERE = Path(__file__).parent
# Sixteen lanes also where the processor has none: the compiler then makes two of eight of them.
SIXTEEN = ["-D__AVX512F__", "-Wno-psabi"]
PAIRS = [*SIXTEEN, "-D__AVX512BF16__", "-include", str(HERE / "stand_in" / "instructions.h")]
FORMS = {"8 lanes": ["-U__AVX512F__"], "16 lanes": SIXTEEN, "pairs": PAIRS, "tiles": [*PAIRS, "-D__AMX_BF16__"]}


def run(program, source, form, sanitizer, cases):
    flags = ["-g", "-O1", "-std=c++17", "-mavx2", "-mfma", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    folders = [f"-I{HERE / 'stand_in'}", f"-I{Path(build.__file__).parent}"]
    command = [build.offer().compiler, *flags, *FORMS[form], "-Wall", "-Wextra", "-Werror", *folders]
    subprocess.run([*command, str(HERE / source), "-o", str(program), "-pthread"], check=True)
    done = subprocess.run([str(program), str(cases)], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == (f"{3 * cases} cases, 0 wrong\n", "", 0)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
@pytest.mark.parametrize("source", ["sanitized.cc", "sanitized_layers.cc"])
def test_the_kernels_are_clean(tmp_path, source, sanitizer, form):
    run(tmp_path / "sanitized", source, form, sanitizer, 200)


def test_the_widest_form_is_right_and_stays_within_its_arrays(tmp_path):
    run(tmp_path / "sanitized", "sanitized.cc", "tiles", "address", 30)  # a machine may have no such processor
