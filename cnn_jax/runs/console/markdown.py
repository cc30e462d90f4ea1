"""Tables for documents, and for what shows Markdown."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table, a line a row; a `|` within a cell stays there.

    Example:
      >>> print(markdown_table(("key", "value"), [("optim.freeze", "stem|stage1")]), end="")
      | key | value |
      | --- | --- |
      | optim.freeze | stem\|stage1 |
    """
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(cell.replace('|', r'\|') for cell in line)} |\n" for line in lines)
