"""The compiled kernels: found in the cache or compiled into it, loaded, checked, and made known to XLA; or why not.

Nothing is compiled before a program is lowered that calls a kernel. The library lies in the cache folder under a digest
of all that it depends on: the sources, jaxlib with its headers, the compiler and the processor's extensions.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import jax

from cnn_jax.native.handlers import HANDLERS, PREFIX, Wrong, check
from cnn_jax.paths import cache_folder

SWITCH = "CNN_JAX_NATIVE"  # "0" turns the kernels off
LIBRARY = "kernels.so"

_HERE = Path(__file__).parent
_SOURCE = _HERE / "handlers.cc"
_AVX2 = ("avx2", "fma")
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512dq", "avx512vl")
_BF16 = (*_AVX512, "avx512_bf16")
# What the processor must have and the compiler may then use, by the names of /proc/cpuinfo; the widest comes last.
_EXTENSIONS: dict[str, tuple[str, ...]] = {
    "AVX2": _AVX2,
    "AVX-512": _AVX512,
    "AVX-512 BF16": _BF16,
    "AMX": (*_BF16, "amx_tile", "amx_bf16"),
}
_LOCK = threading.Lock()
_LOADED: set[str] = set()  # names of cache entries


class Offer(NamedTuple):
    """What this machine can run, before anything is compiled: the processor's extension and compiler, or why none."""

    extension: str = ""
    compiler: str = ""
    version: str = ""
    why_not: str = ""

    def __str__(self) -> str:
        return f"none: {self.why_not}" if self.why_not else f"{self.extension}, {self.version}"


def offer() -> Offer:
    """What this machine offers to the kernels, as an environment record holds it; a build that failed counts."""
    found = _offered()
    if found.why_not:
        return found
    folder = _folder(found)
    try:
        if (failed := folder / "failed").is_file():
            return Offer(why_not=f"{failed.read_text().strip()} (remove {folder} to try again)")
        if not (folder / LIBRARY).is_file() and not _can_be_written(folder):
            return Offer(why_not=f"{folder} cannot be written, set $XDG_CACHE_HOME to a folder of yours")
    except OSError as error:  # another user's folder
        return Offer(why_not=f"{folder}: {error.strerror}; set $XDG_CACHE_HOME to a folder of yours")
    return found


def _offered() -> Offer:
    return _offer(os.environ.get(SWITCH, ""), os.environ.get("CXX", ""), os.environ.get("PATH", ""))


def _can_be_written(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK)


@functools.lru_cache(maxsize=8)
def _offer(switch: str, cxx: str, path: str) -> Offer:
    if switch == "0":
        return Offer(why_not=f"{SWITCH}=0")
    flags = processor_flags()
    if "amx_bf16" in flags and not _linux_lends_tiles():
        flags -= {"amx_bf16"}
    extensions = [name for name, needed in reversed(_EXTENSIONS.items()) if flags.issuperset(needed)]
    if not extensions or sys.platform != "linux":
        return Offer(why_not="they need Linux and a processor with AVX2")
    for name in [cxx] if cxx else ["g++", "clang++"]:
        if compiler := shutil.which(name):
            answer = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
            if answer.returncode == 0 and answer.stdout:
                known = (extension for extension in extensions[:-1] if _knows(compiler, extension))
                return Offer(next(known, extensions[-1]), compiler, answer.stdout.splitlines()[0])
    return Offer(why_not=f"no C++ compiler, {cxx or 'g++ or clang++'}")


def _knows(compiler: str, extension: str) -> bool:
    """Whether a compiler is new enough for a processor's extension."""
    command = [compiler, *_options(extension), "-fsyntax-only", "-x", "c++", os.devnull]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _options(extension: str) -> list[str]:
    return [f"-m{name.replace('amx_', 'amx-').replace('_', '')}" for name in _EXTENSIONS[extension]]


def processor_flags() -> set[str]:
    """The extensions that the processor names; none where the system does not tell."""
    try:
        rows = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    return set(next((row.partition(":")[2] for row in rows if row.startswith("flags")), "").split())


def _linux_lends_tiles() -> bool:
    """Asks for AMX's registers, which Linux gives to a process that asks, where it can."""
    # arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): Documentation/arch/x86/xstate.rst
    return ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0


def multiplies_bfloat16() -> bool:
    """Whether the kernels are faster in bfloat16 than in float32, by products that the processor has of its own."""
    return _offered().extension in ("AVX-512 BF16", "AMX")


def ready() -> bool:
    """Whether the kernels can be called; the first call compiles them where it must, and says why where they cannot."""
    with _LOCK:
        return _ready(os.environ.get(SWITCH, ""))


@functools.cache
def _ready(switch: str) -> bool:
    found = offer()
    why = found.why_not
    if not why:
        try:
            # XLA takes one library of them a process; from another cache folder the same one is loaded already.
            if _folder(found).name not in _LOADED:
                _load(_built(found))
        except (OSError, subprocess.CalledProcessError, jax.errors.JaxRuntimeError, Wrong) as error:
            why = _reason(error)
            _remember(found, why)
    if why and switch != "0":
        print(f"cnn_jax computes without its own kernels, slower: {why}.", file=sys.stderr, flush=True)
    return not why


def _folder(found: Offer) -> Path:
    content = hashlib.sha256(repr((found, metadata.version("jaxlib"), _EXTENSIONS[found.extension])).encode())
    for path in sorted([*_HERE.glob("*.h"), _SOURCE]):
        content.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return cache_folder() / "native" / content.hexdigest()[:24]


def _built(found: Offer) -> Path:
    """The library in the cache, compiled first where it is not there; two processes may do so at once."""
    folder = _folder(found)
    library = folder / LIBRARY
    if library.is_file() and library.stat().st_uid == os.getuid():
        return library
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [found.compiler, "-O3", "-std=c++17", "-fPIC", "-shared", *_options(found.extension)]
    command += ["-isystem", jax.ffi.include_dir(), str(_SOURCE), "-o"]
    print(
        f"compiling cnn_jax's kernels for {found.extension}, once on this machine, about fifteen seconds …",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=folder) as own:
        subprocess.run([*command, f"{own}/{LIBRARY}"], capture_output=True, text=True, check=True)
        os.replace(f"{own}/{LIBRARY}", library)
    return library


def _load(library: Path) -> None:
    loaded = ctypes.CDLL(str(library))
    for name in HANDLERS:
        jax.ffi.register_ffi_target(PREFIX + name, jax.ffi.pycapsule(getattr(loaded, PREFIX + name)), platform="cpu")
    check()
    _LOADED.add(library.parent.name)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in error.stderr.splitlines() if "error" in line] or error.stderr.splitlines()
        return f"{error.cmd[0]} failed: {lines[0] if lines else f'status {error.returncode}'}"
    return " ".join(str(error).splitlines()[:1])


def _remember(found: Offer, why: str) -> None:
    folder = _folder(found)
    if folder.is_dir() and os.access(folder, os.W_OK):
        (folder / "failed").write_text(why)
