"""Ten steps of training on some layout, in processes of their own: the number of devices is fixed when JAX starts."""

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "ten_steps.py"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def ten_steps(data_root):
    """A function from a layout to one `{strategy: figures}` per process; what it has run it remembers."""
    done = {}

    def run(model, devices, dtype, rate, *changes, processes=1, strategies=("jit", "pmap", "fsdp")):
        key = (model, devices, dtype, rate, changes, processes, strategies)
        if key not in done:
            port = free_port()
            command = [
                sys.executable,
                str(SCRIPT),
                ",".join(strategies),
                model,
                str(devices),
                dtype,
                str(rate),
                *changes,
            ]
            started = [
                subprocess.Popen(
                    command,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"TEN_STEPS_OF": f"{port},{processes},{number}"},
                )
                for number in range(processes)
            ]
            with ThreadPoolExecutor(processes) as pool:  # one that nobody reads from would wait, and the others for it
                outputs = list(pool.map(lambda process: process.communicate(timeout=600), started))
            assert all(process.returncode == 0 for process in started), outputs[0][1]
            done[key] = [json.loads(out.splitlines()[-1]) for out, _ in outputs]
        return done[key]

    return run
