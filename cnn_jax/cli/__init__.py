"""The command line: one thin function per command, by subject in the files beside this one.

Nothing heavy is imported before the command that needs it, so that `--help` answers at once.
"""

import contextlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

from cnn_jax.cli.allocation import keep_memory
from cnn_jax.cli.binding import bind
from cnn_jax.cli.data import data
from cnn_jax.cli.doctor import doctor
from cnn_jax.cli.jobs import launch, separate_training, submit
from cnn_jax.cli.listing import show_runs
from cnn_jax.cli.networks import bench, models, summary
from cnn_jax.cli.new import new
from cnn_jax.cli.options import DEBUG, OPTIONS, VERSION, split_options
from cnn_jax.cli.output import READER_GONE, drop_output, explain, never_raise, own_line
from cnn_jax.cli.parts import parts
from cnn_jax.cli.runs import diff, evaluate, train, verify
from cnn_jax.cli.study.commands import ablate, report, tune
from cnn_jax.cli.use.export import export
from cnn_jax.cli.use.inspect import inspect
from cnn_jax.cli.use.predict import predict
from cnn_jax.cli.use.probe import probe
from cnn_jax.cli.weights import weights
from cnn_jax.config import ConfigError
from cnn_jax.names import nearest

_DESCRIPTION = "The classic convolutional networks in JAX, exactly as published, with runs that repeat to the bit."
_DESCRIPTION += f"\n\n{VERSION}, alone: show the version."
_DESCRIPTION += "".join(f"\n\n{option}, anywhere: {what}." for option, what in OPTIONS.items())

COMMANDS: dict[str, Callable[..., int]] = {
    "new": new,
    "train": train,
    "launch": launch,
    "submit": submit,
    "eval": evaluate,
    "predict": predict,
    "inspect": inspect,
    "verify": verify,
    "probe": probe,
    "ablate": ablate,
    "tune": tune,
    "report": report,
    "models": models,
    "parts": parts,
    "summary": summary,
    "bench": bench,
    "data": data,
    "weights": weights,
    "export": export,
    "runs": show_runs,
    "diff": diff,
    "doctor": doctor,
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: the words after `cnn-jax`; None takes them from the process.

    Returns:
      The exit status: 0, 1 for a failure, 2 for a mistaken command line or configuration, 128 + n for signal n.
    """
    words, options = split_options(sys.argv[1:] if argv is None else argv)
    if words == [VERSION]:
        print(f"cnn-jax {version('cnn-jax')}")
        return 0
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        _say(f"there is no command {words[0]!r}.{nearest(words[0], [*COMMANDS])} `cnn-jax --help` says what each does.")
        return 2
    if words[:1] in (["launch"], ["submit"]):
        words = separate_training(words, options)
    try:
        commands = COMMANDS | ({"train": bind(train, words[1:])} if words[:1] == ["train"] else {})
        with warnings.catch_warnings(), _notes_shown(logging.DEBUG if DEBUG in options else logging.WARNING):
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            return tyro.extras.subcommand_cli_from_dict(commands, prog="cnn-jax", description=_DESCRIPTION, args=words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        drop_output()
        return READER_GONE
    except Exception as error:
        if DEBUG in options:
            traceback.print_exc()
        else:
            _say(explain(error))
            if (line := own_line(error)) and line.partition(",")[0] not in str(error):
                _say(f"  {line}")
            if not isinstance(error, (ValueError, OSError, RuntimeError)) and not hasattr(error, "exit_status"):
                _say(f"{DEBUG} shows where.")
        return getattr(error, "exit_status", 2 if isinstance(error, ConfigError) else 1)


def entry_point() -> None:
    """The console script: `main` in a process of its own, with its allocator, and compiled programs on disk."""
    never_raise()
    keep_memory(sys.argv[1:])
    with contextlib.suppress(RuntimeError):  # a user without a home has no cache
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cnn_jax" / "xla"
        # Through the environment, because a command such as --help must not import JAX to say where its cache is.
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    status = main()
    if "jax" in sys.modules:
        from cnn_jax.parallel import exit_process

        exit_process(status)
    sys.exit(status)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error may be closed, or full
        print(f"cnn-jax: {text}", file=sys.stderr)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Shows what the package notes, in the words of the command line."""
        _say(record.getMessage())


@contextlib.contextmanager
def _notes_shown(level: int) -> Iterator[None]:
    notes, logger = _Notes(level), logging.getLogger("cnn_jax")
    before = logger.propagate, logger.level
    logger.addHandler(notes)
    logger.setLevel(level)
    logger.propagate = False  # or a handler of the root logger, absl's or our own, would say them again
    try:
        yield
    finally:
        logger.removeHandler(notes)
        logger.propagate, logger.level = before


def _show_warning(message: Warning | str, *_: Any) -> None:
    _say(f"warning: {message}")
