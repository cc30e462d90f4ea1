"""Settings of JAX that hold for the whole process and change the bits of a result: pinned while a run computes."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import jax

from cnn_jax.runs.folder.stored import RunError

_lock = threading.Lock()
_users = 0
_pinned: dict[str, Any] = {}
_before: dict[str, Any] = {}


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Pins what random numbers and constants depend on, 64-bit arrays for a float64 model only, and puts it back.

    The process-wide settings, not JAX's context managers: those hold for one thread, and Orbax restores in others.
    Several threads may be within at once, if they want the same.

    Raises:
      RunError: when another thread of the process computes with other settings.
    """
    global _users
    wanted = {
        "jax_enable_x64": dtype == "float64",
        "jax_default_prng_impl": "threefry2x32",
        "jax_threefry_partitionable": True,
        "jax_random_seed_offset": 0,
    }
    with _lock:
        if _users and _pinned != wanted:
            raise RunError(
                "another thread of this process computes with or without 64-bit arrays, which is one setting for all; "
                f"wait for it, or compute in {dtype} in a process of its own."
            )
        if not _users:
            _before.update({name: _process_wide(name) for name in wanted})
            _pinned.update(wanted)
            _update(wanted)
        _users += 1
    try:
        with contextlib.ExitStack() as here:
            for name, manager in _MANAGERS.items():
                if getattr(jax.config, name) != wanted[name]:  # a context of the caller's thread says otherwise
                    here.enter_context(manager(wanted[name]))
            yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _update(_before)


_MANAGERS: dict[str, Any] = {
    "jax_enable_x64": jax.enable_x64,
    "jax_default_prng_impl": jax.default_prng_impl,
    "jax_threefry_partitionable": jax.threefry_partitionable,
}


def _process_wide(name: str) -> Any:
    """The value without what a context of this thread says."""
    return _MANAGERS[name].get_global() if name in _MANAGERS else getattr(jax.config, name)


def _update(values: dict[str, Any]) -> None:
    for name, value in values.items():
        jax.config.update(name, value)
