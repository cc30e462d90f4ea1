"""A process of `cnn-jax ablate --jobs`: `python -m cnn_jax.cli.study.worker FILE WORKDIR COMMAND…`, told by lines.

COMMAND is the one that started it, for the record of the runs.

On standard input it takes JSON lines, [arm, seed], and trains these runs; on standard output it gives one for every
change: state, why, progress and whether the run has ended.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from cnn_jax.cli.allocation import keep_memory
from cnn_jax.cli.output import never_raise
from cnn_jax.runs.console.signals import Stopped
from cnn_jax.runs.machine.sharing import shared_programs
from cnn_jax.study.ablation import load_study
from cnn_jax.study.run import Entry, attempt, entry_of, train_watched


def main(file: Path, place: Path) -> int:
    """Trains what it is told to; returns the exit status."""
    never_raise()
    keep_memory(["ablate"])
    if cores := os.environ.pop("CNN_JAX_CORES", ""):  # before JAX starts its threads
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    # The user's code may print: that goes where warnings go.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(entry: Entry, ended: bool, **changes: Any) -> None:
        entry = dataclasses.replace(entry, **changes)
        said = {"state": entry.state, "why": entry.why, "progress": entry.progress, "ended": ended}
        print(json.dumps(said), file=out)

    study = load_study(file)
    with shared_programs():
        for line in sys.stdin:
            entry = entry_of(study, place, *json.loads(line))
            try:
                ended = attempt(entry, lambda entry: train_watched(entry, lambda running: say(running, ended=False)))
            except Stopped as stopped:
                say(entry, ended=True, state="stopped")
                return stopped.exit_status
            except OSError as error:  # a full disk
                say(entry, ended=True, state="full", why=str(error))
                return 1
            say(ended, ended=True)
    return 0


if __name__ == "__main__":
    file, place, *sys.argv = sys.argv[1:]
    sys.exit(main(Path(file), Path(place)))
