"""Several processes on one machine: as many as GPUs, or to try out what a cluster does.

Imports no JAX: the processes it starts do.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO

from cnn_jax.parallel.gpus import equal_parts, visible_gpus
from cnn_jax.parallel.stopping import STOPPING

# What the others have, after one has died, to notice and say so before they are killed.
GRACE_SECONDS = 20

_POLL_SECONDS = 0.1


def launch(command: Sequence[str], *, processes: int, restarts: int = 0) -> int:
    """Runs a training command in several processes, each with its share of the GPUs and cores, and waits for them.

    Every line of their output goes to standard error after `[process]`, but for the standard output of process 0,
    which is passed on as it is.  SIGTERM, SIGINT and SIGHUP are passed on to all as SIGTERM, SIGUSR1 as it is.
    When one dies, all are ended.

    Args:
      command: of one process; the flags that make it one of several are added.
      restarts: how often to start all again after one has died or was preempted.  A wrong command is no death, nor is a
        signal to the launcher, after which all stop.

    Returns:
      0, or the exit status of the first that failed, 128 + n for signal n.

    Raises:
      ClusterError: where the processes cannot share the GPUs.
    """
    gpus = visible_gpus()
    shares = [_only(own) for own in equal_parts(gpus, processes)] if gpus else [{}] * processes
    with _Processes() as group:
        for attempt in range(restarts + 1):
            status = group.run([[*command, *flags] for flags in _flags(processes)], shares)
            if status in (0, 2) or group.stopped or attempt == restarts:
                return status
            _say(f"a process died with status {status}; starting all again.")
    return status


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"launch: {text}", file=sys.stderr, flush=True)


def _only(gpus: Sequence[str]) -> dict[str, str]:
    """What an environment says where these GPUs are a process's own, whatever job this machine is in."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "JAX_LOCAL_DEVICE_IDS": ",".join(map(str, range(len(gpus))))}


def _flags(processes: int) -> list[list[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        [
            "--parallel.distributed",
            f"--parallel.coordinator=127.0.0.1:{port}",
            f"--parallel.num-processes={processes}",
            f"--parallel.process-id={number}",
        ]
        for number in range(processes)
    ]


class _Processes:
    """A group of processes and the signals that it passes on to them."""

    def __init__(self) -> None:
        self.stopped = False
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "_Processes":
        main = threading.current_thread() is threading.main_thread()
        # Under nohup a closed terminal's is ignored, and stays so.
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        numbers = [n for n in STOPPING if main and not (nohup and n == signal.SIGHUP)]
        self._before = {number: signal.signal(number, self._pass_on) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number if number == signal.SIGUSR1 else signal.SIGTERM)

    def run(self, commands: list[list[str]], shares: list[dict[str, str]]) -> int:
        """Starts the commands, waits for all of them, and returns the first failure's status, else 0."""
        forwarders = []
        for number, (command, share, cores) in enumerate(zip(commands, shares, _cores(len(commands)), strict=True)):
            with _confined_to(cores):
                process = subprocess.Popen(
                    command,
                    env=os.environ | share,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            self._running[number] = process
            out_prefix, err_prefix = "" if number == 0 else f"[{number}] ", f"[{number}] "
            for pipe, prefix in ((process.stdout, out_prefix), (process.stderr, err_prefix)):
                forwarder = threading.Thread(target=_forward, args=(pipe, prefix), daemon=True)
                forwarder.start()
                forwarders.append(forwarder)
        status = self._wait()
        for forwarder in forwarders:
            forwarder.join(timeout=5)
        return status

    def _wait(self) -> int:
        first, deadline = 0, float("inf")
        killed: set[int] = set()
        while self._running:
            for number, process in list(self._running.items()):
                code = process.poll()
                if code is None:
                    continue
                del self._running[number]
                if code < 0 and number not in killed:
                    _say(f"process {number} was ended by {signal.Signals(-code).name}.")
                code = 128 - code if code < 0 else code
                if code and not first:
                    first, deadline = code, time.monotonic() + GRACE_SECONDS
            if time.monotonic() > deadline:
                for number, process in self._running.items():
                    if number not in killed:
                        killed.add(number)
                        _say(f"process {number} had not noticed it {GRACE_SECONDS} s later, and is killed.")
                        process.kill()
            time.sleep(_POLL_SECONDS)
        return first


def _cores(count: int) -> list[set[int]]:
    """The cores of each process: an equal part where there are enough, else all of them."""
    cores = sorted(os.sched_getaffinity(0))
    size = len(cores) // count
    return [set(cores[i * size : (i + 1) * size]) if size else set(cores) for i in range(count)]


@contextlib.contextmanager
def _confined_to(cores: set[int]) -> Iterator[None]:
    """What is started within inherits these cores from this thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _forward(pipe: IO[bytes], prefix: str) -> None:
    target = sys.stderr if prefix else sys.stdout
    for line in pipe:
        with contextlib.suppress(OSError, ValueError):  # read on when nobody listens, or the process would wait for us
            target.write(prefix + line.decode(errors="replace"))
            target.flush()
