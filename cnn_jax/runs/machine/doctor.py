"""What this machine offers a training, and what to do about what it lacks."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax

from cnn_jax.data import data_root
from cnn_jax.data.decoding.encoded import available_processors
from cnn_jax.paths import cache_folder
from cnn_jax.runs.machine.environment import environment

# What brings a command or a file format, by a module of its, and its extra.
_EXTRAS = {
    "optuna": ("tune", "`cnn-jax tune`"),
    "altair": ("report", "`cnn-jax report`"),
    "submitit": ("slurm", "`cnn-jax submit`"),
    "torch": ("torch", "PyTorch's .pth files"),
    "h5py": ("keras", "Keras's .h5 files"),
    "tensorflow": ("tensorflow", "preparing official TFDS sets"),
}
# Where an accelerator shows without its driver library; the extra that drives it, a module of that, and what it needs.
_DEVICES = {
    "NVIDIA GPU": ("/dev/nvidia[0-9]*", "cuda", "jax_cuda13_plugin", "CUDA 13 needs driver 580 or newer"),
    "TPU": ("/dev/accel[0-9]*", "tpu", "libtpu", "one process at a time has a TPU"),
}


class Finding(NamedTuple):
    """One thing about the machine; `remedy` says what to do where something is to be done, else it is empty."""

    name: str
    found: str
    remedy: str = ""


def findings() -> list[Finding]:
    """Versions, devices, precision, flags, memory, threads, folders and extras."""
    here = environment()
    return [*_devices(here), *_arithmetic(here), *_memory(), *_folders(), *_extras()]


def _devices(here: dict[str, Any]) -> Iterator[Finding]:
    device = jax.devices()[0]
    yield Finding("cnn_jax", f"{here['cnn-jax']}, Python {here['python']}, jax {here['jax']}")
    yield Finding("devices", f"{jax.device_count()} × {here['device']}, {device.platform}")
    yield Finding("processor", f"{here['cpu']}: {here['cpu_extensions']}")
    if device.platform != "cpu":
        yield from _driver(here)
        packages = {name: found for name, found in here.items() if name.startswith(("nvidia-", "jax-", "libtpu"))}
        yield Finding("plugin", ", ".join(f"{name} {found}" for name, found in packages.items()))
        return
    for name, (pattern, extra, module, needs) in _DEVICES.items():
        if found := sorted(Path("/").glob(pattern.lstrip("/"))):
            remedy = f"`uv sync --extra {extra}`, and then `uv run --extra {extra} …`: a plain `uv sync` removes it"
            if find_spec(module) is not None:
                remedy = f"`JAX_PLATFORMS={extra} cnn-jax doctor --debug` says why its plugin does not start; {needs}"
            if os.environ.get("JAX_PLATFORMS"):
                remedy = f"unset JAX_PLATFORMS, which is {os.environ['JAX_PLATFORMS']}; else {remedy}"
            yield Finding(name, f"{len(found)} here, which JAX does not use", remedy)


def _driver(here: dict[str, Any]) -> Iterator[Finding]:
    """What drives an accelerator; of NVIDIA's, with CUDA and cuDNN as they are loaded."""
    if here.get("cuda") is None:
        yield Finding("driver", here["platform"])
        return
    yield Finding("driver", f"{here['driver'] or 'version unknown'}, for CUDA up to {here['driver_cuda']}")
    yield Finding("CUDA", here["cuda"])
    yield Finding("cuDNN", here["cudnn"] or "not found")


def _arithmetic(here: dict[str, Any]) -> Iterator[Finding]:
    on_cpu = jax.default_backend() == "cpu"
    usual = "float32 products are float32" if on_cpu else "float32 products are TF32 or bfloat16"
    asked = jax.config.jax_default_matmul_precision
    remedy = "" if on_cpu or asked else "for float32, as parity and gradient checks need: --model.precision highest"
    yield Finding("precision", usual if asked is None else f"jax_default_matmul_precision is {asked}", remedy)
    if on_cpu:
        yield Finding("kernels in C++", here["native"])
    yield Finding("flags", " ".join(f"{name}={value}" for name, value in here["settings"].items()) or "none")


def _memory() -> Iterator[Finding]:
    stats = jax.local_devices()[0].memory_stats() or {}
    if limit := stats.get("bytes_limit"):
        yield Finding("device memory", f"{limit / 2**30:.1f} GiB for JAX on each")
    if hasattr(os, "sysconf"):
        yield Finding("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB")
    yield Finding("decoding", f"{available_processors()} threads")


def _folders() -> Iterator[Finding]:
    programs = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    folders = {"data sets": data_root(), "cache": cache_folder()} | ({"programs": Path(programs)} if programs else {})
    for name, folder in folders.items():
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if os.access(there, os.W_OK):
            yield Finding(name, f"{folder}, {shutil.disk_usage(there).free / 2**30:.1f} GiB free")
        else:
            variable = "CNN_JAX_DATA" if name == "data sets" else "XDG_CACHE_HOME"
            yield Finding(name, f"{folder}, which cannot be written", f"set ${variable} to a folder of yours")


def _extras() -> Iterator[Finding]:
    missing = [f"{extra} ({use})" for module, (extra, use) in _EXTRAS.items() if find_spec(module) is None]
    there = [extra for module, (extra, _) in _EXTRAS.items() if find_spec(module) is not None]
    yield Finding("extras", ", ".join(there) or "none")
    if missing:
        yield Finding("not installed", ", ".join(missing), "`uv sync --extra NAME`, where you need it")
