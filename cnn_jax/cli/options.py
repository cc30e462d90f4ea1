"""Options of the process, not of a command: they may stand anywhere on the command line, also before the command."""

from collections.abc import Sequence

VERSION, DEBUG, RETURN_MEMORY = "--version", "--debug", "--return-memory"
OPTIONS = {
    DEBUG: "on failure, show the traceback; and say what a step holds and what becomes of freed memory",
    RETURN_MEMORY: "train and bench return freed memory to the system after every step on a CPU: less is held, and "
    "steps are slower",
}


def split_options(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words of the command, and the options of the process that stood among them."""
    return [word for word in argv if word not in OPTIONS], [word for word in argv if word in OPTIONS]
