"""The command `doctor`: what this machine offers, and what to do about what it lacks."""

from cnn_jax.cli.flags import Json, print_figures
from cnn_jax.cli.output import console


def doctor(json: Json = False) -> int:
    """Show devices, versions, precision, flags, memory and folders, each with what to do where something is amiss."""
    from cnn_jax.runs.machine.doctor import findings

    found = findings()

    def show() -> None:
        from rich.table import Table

        table = Table("what", "here", "what to do", box=None)
        for column in table.columns:
            column.overflow = "fold"
        for finding in found:
            table.add_row(*finding)
        console().print(table)

    return print_figures({"findings": [finding._asdict() for finding in found]}, json, show)
