"""A study's runs on several processes of this host, each with its own device or its share of the cores."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

from cnn_jax.config import ConfigError
from cnn_jax.parallel import visible_gpus
from cnn_jax.runs.console.signals import StopSignals
from cnn_jax.runs.folder.lock import is_locked
from cnn_jax.study.ablation import Study
from cnn_jax.study.run import OPEN, POLL, Entry, StudyStopped, Watch, entries, is_ready


class Worker:
    """A process that trains the runs of a study that it is told, one after the other."""

    def __init__(self, file: Path, place: Path, share: dict[str, str]) -> None:
        command = [sys.executable, "-m", "cnn_jax.cli.study.worker", str(file), str(place), *sys.argv]
        self._start = lambda: subprocess.Popen(
            command,
            env=os.environ | share,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that gives out the work
        )
        self._process: subprocess.Popen[str] | None = None
        self.stopping = False

    def train(self, entry: Entry, watch: Watch) -> Entry:
        """One run, to its end or the process's: then it is "died". "full" is one that found the disk full."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it died; its output ends, too
            self._process.stdin.write(json.dumps([entry.arm, entry.seed]) + "\n")
            self._process.stdin.flush()
        for line in self._process.stdout:
            said = json.loads(line)
            ended = said.pop("ended")
            entry = dataclasses.replace(entry, **said)
            if ended:
                return entry
            watch(entry)
        status = self._process.wait()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return dataclasses.replace(entry, state="died", why=f"its process {how}")

    def stop(self) -> None:
        """Lets the run at work save, and ends it."""
        if self._process is not None and not self.stopping:
            self.stopping = True
            self._process.terminate()

    def close(self) -> None:
        """Ends the process, whose run has ended."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()


def default_jobs() -> int:
    """One for each GPU of this host; on a CPU one."""
    return len(visible_gpus()) or 1


def shares(jobs: int) -> list[dict[str, str]]:
    """What each worker's environment says of the GPU, or the cores, that are its own.

    Raises:
      ConfigError: where there are fewer than workers.
    """
    if gpus := visible_gpus():
        own = [{"CUDA_VISIBLE_DEVICES": name} for name in gpus]
    else:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        parts = [[*cores][i * len(cores) // jobs : (i + 1) * len(cores) // jobs] for i in range(jobs)]
        own = [{"CNN_JAX_CORES": ",".join(map(str, part))} for part in parts if part]
    if not 1 <= jobs <= len(own):
        what = "GPU" if gpus else "core"
        raise ConfigError(f"`--jobs` is {jobs}: each takes a {what} for itself, and there are {len(own)}.")
    return own[:jobs]


def run_in_pool(study: Study, place: Path, file: Path, jobs: int, watch: Watch) -> Generator[Entry, None, None]:
    """As `run_study`, several runs at a time. A run whose process dies is tried once more.

    Yields:
      Each run as it ends.

    Raises:
      Stopped: on a signal, after every run at work has saved.
      OSError: where the disk is full.
    """
    own = shares(jobs)
    waiting = deque(entry for entry in entries(study, place) if entry.state in OPEN)
    workers, lock, died = [Worker(file, place, share) for share in own], threading.Lock(), set[Path]()
    idle, busy, full = list(workers), dict[Future[Entry], Worker](), ""

    def told(entry: Entry) -> None:
        with lock:
            watch(entry)

    with contextlib.ExitStack() as stack, StopSignals() as stop, ThreadPoolExecutor(jobs) as threads:
        for worker in workers:
            stack.callback(worker.close)
        while busy or (waiting and not (full or stop.requested)):
            if full or stop.requested:
                for worker in busy.values():
                    worker.stop()
            else:
                for entry in _startable(waiting, len(idle)):
                    worker = idle.pop()
                    busy[threads.submit(worker.train, entry, told)] = worker
            if not busy:  # others are at work on what is left
                time.sleep(POLL)
            for future in wait(busy, POLL / 5, FIRST_COMPLETED).done:
                worker, entry = busy.pop(future), future.result()
                idle.append(worker)
                if entry.state == "full":
                    full = entry.why
                elif entry.state == "died" and worker.stopping:
                    entry = dataclasses.replace(entry, state="stopped", why="")
                elif entry.state == "died":
                    again = entry.folder not in died
                    died.add(entry.folder)
                    state, more = ("waiting", "; it is tried once more") if again else ("failed", " twice")
                    entry = dataclasses.replace(entry, state=state, why=entry.why + more)
                if entry.state in ("waiting", "running"):  # died, or taken by others
                    waiting.append(entry)
                told(entry)
                yield entry
    if full:
        raise OSError(full)
    if stop.requested:
        raise StudyStopped(stop.requested)


def _startable(waiting: deque[Entry], most: int) -> list[Entry]:
    """Takes out the first runs on which no other command is at work, and that need not wait for another run."""
    found = list(islice((entry for entry in waiting if not is_locked(entry.folder) and is_ready(entry)), most))
    for entry in found:
        waiting.remove(entry)
    return found
