"""The table of a study for a paper and for programs."""

import csv
import io
import re
from collections.abc import Sequence

from cnn_jax.study.table import HEAD, Row, cells, note, verdict

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex_text(text: str) -> str:
    r"""Text as LaTeX prints it.

    Example:
      >>> latex_text("width_2 & 50 %")
      'width\\_2 \\& 50 \\%'
    """
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def latex(rows: Sequence[Row], metric: str, question: str) -> str:
    """A `table` with the rules of the package booktabs."""
    head, *body = [[_with_minus(latex_text(cell)) for cell in row] for row in (HEAD, *cells(rows, metric))]
    return "\n".join(
        (
            "% \\usepackage{booktabs}",
            "\\begin{table}",
            "  \\centering",
            f"  \\caption{{{latex_text(question)} {latex_text(note(metric))}}}",
            "  \\begin{tabular}{lrrrrlrr}",
            "    \\toprule",
            f"    {' & '.join(head)} \\\\",
            "    \\midrule",
            *(f"    {' & '.join(row)} \\\\" for row in body),
            "    \\bottomrule",
            "  \\end{tabular}",
            "\\end{table}",
            "",
        )
    )


def _with_minus(text: str) -> str:
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text)


def comma_separated(rows: Sequence[Row], metric: str) -> str:
    """A line an arm, numbers as they are: accuracies as fractions, and nothing where there is no number."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    sides = [f"{what}{end}" for what in ("mean", "difference") for end in ("", "_low", "_high")]
    ends = ["p", "verdict", "correlation", "detects", "detects_low", "detects_high"]
    table.writerow(["metric", "arm", "n", *sides, *ends])
    for row in rows:
        difference = row.difference or (None,) * 3
        detects = row.detects or (None,) * 3
        what = verdict(row, len(rows) - 1)
        table.writerow(
            [metric, row.arm, len(row.seeds), *row.mean, *difference, row.p, what, row.correlation, *detects]
        )
    return text.getvalue()
