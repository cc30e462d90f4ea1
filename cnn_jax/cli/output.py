"""What commands print: plain text as it is, on any output, which never decides how a command ends."""

import contextlib
import io
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

# The shell's status of a program that wrote to a reader that had gone (SIGPIPE).
READER_GONE = 141


def never_raise() -> None:
    """Lets this process's outputs take every character, and makes up for those that are closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            # Names of files may hold bytes that are no UTF-8: they are shown. Elsewhere lines of tables go missing.
            stream.reconfigure(errors="backslashreplace" if stream.encoding.lower().startswith("utf") else "replace")


def drop_output() -> None:
    """Sends what is still to be printed nowhere, after the reader of standard output has gone."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> "Console":
    """Standard output for tables, in which `[red]` and `:cat:` are what they are: names of classes or files."""
    from rich.console import Console

    class Printer(Console):
        def on_broken_pipe(self) -> None:
            raise  # as from `print`; rich's own would end the process with status 1

    return Printer(markup=False, emoji=False, highlight=False)


@contextlib.contextmanager
def counts() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error for each name that is reported, or nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # Not the console's own question: it takes FORCE_COLOR for a terminal.
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield report


def explain(error: Exception) -> str:
    """A sentence for a person in place of an exception."""
    if isinstance(error, (RuntimeError, AssertionError)) and (platform := _missing_platform()):
        return platform
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"`{error.filename}`: {error.strerror}."
    return str(error) or type(error).__name__


def own_line(error: BaseException | None) -> str:
    """The last line of the user's own files that an error, or what caused it, came through; empty without one."""
    paths = sysconfig.get_paths()
    ours = str(Path(__file__).parents[1])
    elsewhere = (*(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")), ours, "<")
    found = None
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        found = next((frame for frame in reversed(frames) if not frame.filename.startswith(elsewhere)), found)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{Path(found.filename).name}, line {found.lineno}: {found.line}" if found else ""


def _missing_platform() -> str | None:
    """What to do where JAX_PLATFORMS asks for what is not here; None where that is not what is wrong."""
    wanted = os.environ.get("JAX_PLATFORMS")
    if not wanted or "jax" not in sys.modules:
        return None
    try:
        sys.modules["jax"].devices()
        return None
    except Exception:
        return (
            f"JAX_PLATFORMS is {wanted}, but JAX cannot start that platform here. Unset it to take what there is, or "
            "install JAX's plugin for the platform, e.g. `pip install 'jax[cuda13]'`."
        )
