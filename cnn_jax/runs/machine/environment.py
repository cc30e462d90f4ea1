"""What may change the bits of a result without being part of the experiment: versions, sources, machine, settings."""

import hashlib
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from cnn_jax.native.build import offer

_PACKAGES = (
    "cnn-jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "clu",
    "numpy",
    "ml-dtypes",
    # What decodes and scales images.
    "tensorflow-datasets",
    "array-record",
    "pillow",
    "opencv-python-headless",
    "simplejpeg",
)
# Of accelerators.
_PLUGINS = re.compile(
    r"(jax-(cuda|rocm)\d*-(plugin|pjrt)|nvidia-(cudnn|cublas|nccl|cuda-(nvcc|runtime))(-cu\d+)?|libtpu)$"
)

# Extensions of the processor by which oneDNN and XLA choose their programs.
_EXTENSIONS = re.compile(r"(sse4_2|avx.*|fma|f16c|amx_.*|asimd.*|sve.*|sme\d?|i8mm|bf16|fphp)$")

# Settings of JAX, as they hold, that change what is computed; `cnn_jax.runs.machine.settings` pins the first four.
_JAX_SETTINGS = (
    "jax_enable_x64",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_random_seed_offset",
    "jax_default_matmul_precision",
    "jax_accurate_erf_inv",
    "jax_allow_f16_reductions",
    "jax_compiler_enable_remat_pass",
    "jax_default_device",
    "jax_disable_jit",
    "jax_disable_most_optimizations",
    "jax_enable_pgle",
    "jax_high_dynamic_range_gumbel",
    "jax_memory_fitting_level",
    "jax_numpy_dtype_promotion",
    "jax_optimization_level",
    "jax_softmax_custom_jvp",
    "jax_threefry_gpu_kernel_lowering",
    "jax_use_hlo_logistic_lowering",
)

# Variables of the environment that are recorded if they are set.
_VARIABLES = re.compile(
    r"(XLA|JAX|ONEDNN|DNNL|OMP|GOMP|KMP|MKL|OPENBLAS|CUDNN|CUBLAS|NCCL)_.*"
    r"|LIBTPU_INIT_ARGS|NVIDIA_TF32_OVERRIDE|TF_(XLA_FLAGS|ENABLE_ONEDNN_OPTS|DETERMINISTIC_OPS|CUDNN_.*)"
)
# Not these: no result depends on them, and every job may have others; scikit-learn sets them when it is imported; or
# what they do stands among `_JAX_SETTINGS`.
_UNRECORDED = re.compile(
    r"JAX_(COMPILATION_CACHE|PERSISTENT_CACHE|COORDINATOR|PROCESS_ID|LOCAL_PROCESS|NUM_PROCESSES).*|KMP_(DUPLICATE_LIB_OK|INIT_AT_FORK)|"
    + "|".join(name.upper() for name in _JAX_SETTINGS)
)
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|_KEY(_|$)")
_SECRET_VALUE = re.compile(r"(token|secret|passw\w*|credential|api_?key)\w*=|://[^/\s]*@", re.IGNORECASE)

# What tells where a run was, and changes no bits.
_PLACE = ("host", "processors")


def environment(folder: Path | None = None, *, deterministic: bool = False) -> dict[str, Any]:
    """Versions, sources, machine and settings; what cannot be found out is None.

    Args:
      folder: of the experiment file, whose git revision is recorded; None is the current one.
      deterministic: `train.deterministic` of the run; it changes no bits on a CPU, and is not recorded there.

    Returns:
      JSON values by name. `sources` is a digest of cnn_jax's own files, so that an edited checkout shows; `settings`
      holds those variables of the environment that are set and matter, but no value that may be a secret.
    """
    device = jax.devices()[0]
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "sources": _sources(),
        **({"native": str(offer())} if device.platform == "cpu" else {}),
        "git": _revision(folder),
        "host": platform.node() or None,
        "system": f"{platform.system()} {platform.machine()}",
        **_processor(),
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "device": device.device_kind,
        **({} if device.platform == "cpu" else _accelerator(device) | {"train.deterministic": deterministic}),
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        **{name: _plain(getattr(jax.config, name, None)) for name in _JAX_SETTINGS},
        "settings": _settings(),
    }


def environment_changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, list[Any]]:
    """What may change bits and differs, `{name: [before, now]}`; variables of the environment as `settings.NAME`.

    What an older version did not record is not compared, nor is the host's name.
    """
    left, right = flat_environment(before), flat_environment(now)
    names = [n for n in right if n in left] + [n for n in left if n not in right]
    if "settings" in before:  # then a variable that is absent was not set
        names += [n for n in right if n.startswith("settings.") and n not in left]
    ignored = _PLACE if "sources" in before else (*_PLACE, "git")  # which was cnn_jax's, before its sources counted
    return {n: [left.get(n), right.get(n)] for n in names if n not in ignored and left.get(n) != right.get(n)}


def flat_environment(values: dict[str, Any]) -> dict[str, Any]:
    """The same without nesting: `settings.XLA_FLAGS` and the like."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= {f"{name}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _accelerator(device: Any) -> dict[str, str | None]:
    """Of a GPU or TPU: its driver, and the packages that drive it."""
    names = ((found.metadata["Name"] or "", found.version) for found in metadata.distributions())
    plugins = {name.lower(): version for name, version in names if _PLUGINS.match(name.lower())}
    platform = {"platform": " ".join(device.client.platform_version.split())}
    return platform | (_cuda() if device.platform == "gpu" else {}) | dict(sorted(plugins.items()))


def _cuda() -> dict[str, str | None]:
    """NVIDIA's driver, the newest CUDA that it serves, and the CUDA and cuDNN that JAX has loaded."""
    driver = _answer(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return {
        "driver": None if driver is None else driver.split()[0],
        "driver_cuda": _loaded("cuda_driver_get_version", 1000, 10),
        "cuda": _loaded("cuda_runtime_get_version", 1000, 10),
        "cudnn": _loaded("cudnn_get_version", 10000, 100),
    }


def _loaded(version: str, major: int, minor: int) -> str | None:
    """What a function of JAX's plugin for CUDA says, as 12080 for 12.8.0; JAX has no public one."""
    try:
        number = int(getattr(jax._src.lib.cuda_versions, version)())
    except (AttributeError, RuntimeError):  # there is no such plugin, function or library
        return None
    return f"{number // major}.{number % major // minor}.{number % minor}"


def _sources() -> str | None:
    package = Path(sys.modules["cnn_jax"].__path__[0])
    content = hashlib.sha256()
    try:
        for path in sorted(p for p in package.rglob("*") if p.suffix in (".py", ".h", ".cc")):
            content.update(f"{path.relative_to(package).as_posix()}\0{path.stat().st_size}\0".encode())
            content.update(path.read_bytes())
    except OSError:
        return None
    return content.hexdigest()[:12]


def _revision(folder: Path | None) -> str | None:
    """The commit of the repository that a folder lies in, with `-dirty` where files of it are edited."""
    git = ["git", "--no-optional-locks", "-C", str(folder or "."), "describe", "--always", "--dirty", "--abbrev=12"]
    return _answer([*git, "--exclude=*"])


def _processor() -> dict[str, str | None]:
    """Model, extensions that matter in plain words, and a digest of all flags."""
    try:
        first = Path("/proc/cpuinfo").read_text(errors="replace").split("\n\n")[0]
    except OSError:  # macOS
        return {
            "cpu": _answer(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.processor() or None,
            "cpu_extensions": None,
            "cpu_flags": None,
        }
    rows = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in first.splitlines())}
    flags = sorted((rows.get("flags") or rows.get("Features") or "").split())
    arm = " ".join(rows[k] for k in ("CPU implementer", "CPU part") if k in rows)
    return {
        "cpu": rows.get("model name") or arm or platform.processor() or None,
        "cpu_extensions": " ".join(flag for flag in flags if _EXTENSIONS.match(flag)) or None,
        "cpu_flags": hashlib.sha256(" ".join(flags).encode()).hexdigest()[:12] if flags else None,
    }


def _settings() -> dict[str, str]:
    found = {name: value for name, value in sorted(os.environ.items()) if _VARIABLES.fullmatch(name)}
    return {name: _hidden(name, value) for name, value in found.items() if not _UNRECORDED.fullmatch(name)}


def _hidden(name: str, value: str) -> str:
    """The value, unless its name is one for secrets, or it holds one, as in an address."""
    return "(set)" if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value) else value


def _answer(command: list[str]) -> str | None:
    """What a program says, or None where it is missing, fails, or does not answer."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
