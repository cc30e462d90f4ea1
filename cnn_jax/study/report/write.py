"""A report into a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cnn_jax.config import ConfigError
from cnn_jax.paths import local_path
from cnn_jax.runs.folder.stored import RunError
from cnn_jax.study.predicted import Predicted
from cnn_jax.study.report.figures import predictions, with_interval
from cnn_jax.study.report.figures import rows as rows_of
from cnn_jax.study.report.formats import comma_separated, latex
from cnn_jax.study.report.subject import Subject, find_subject
from cnn_jax.study.stored import write_shared
from cnn_jax.study.table import Row, document

Format = Literal["html", "markdown", "latex", "csv", "png"]
_ENDS = {"html": "html", "markdown": "md", "latex": "tex", "csv": "csv", "png": "png"}


class MissingPackageError(RuntimeError):
    """The extra `report` is not installed."""


@dataclass(frozen=True)
class Report:
    """What `report` returns.

    Attributes:
      file: that was written.
      subject: the runs by arm.
      rows: of the table; empty where a run is missing, and no test figure is shown.
    """

    file: Path
    subject: Subject
    rows: tuple[Row, ...]


def report(
    folders: Path | str | Sequence[Path | str],
    out: Path | str | None = None,
    *,
    format: Format = "html",
    trust_code: bool = False,
) -> Report:
    """Writes what runs show: a page that reads without a network, or a table or forest plot for a paper.

    Nothing is trained, and no test figure is shown before all runs of the study are done.

    Args:
      folders: of a study, of a run, or of any runs, those of the base first.
      out: the file; None is `report` in the current folder, with the ending of the format.
      format: "html"; the table as "markdown", "latex" or "csv"; or the forest plot as "png".
      trust_code: run code of one's own that lies in the folders, although this user has not trained with it: a page
        needs it for the images and the cost of what it makes, and says so where it does without.

    Raises:
      RunError: where there is no run, or one cannot be read or compared; for a table or a plot of runs that are not
        all done.
      ConfigError: for a format that there is not, a file that cannot be written, or runs tested on different examples.
      MissingPackageError: for a page or a plot without the extra `report`.
    """
    if format not in get_args(Format):
        raise ConfigError(f"`format` is {format!r}; it is one of {', '.join(get_args(Format))}.")
    file = Path(f"report.{_ENDS[format]}") if out is None else local_path(out, "--out")
    subject = find_subject([folders] if isinstance(folders, (str, Path)) else folders)
    predicted = predictions(subject)
    rows = rows_of(subject, predicted)
    content = _content(subject, rows, predicted, format, trust_code)
    try:
        write_shared(file, content)
    except OSError as error:
        raise ConfigError(f"`{file}` cannot be written ({error.strerror or error}); give another --out.") from error
    return Report(file, subject, tuple(rows))


def _content(subject: Subject, rows: list[Row], predicted: Predicted, format: Format, trust_code: bool) -> str | bytes:
    if format != "html" and not rows:
        states = ", ".join(f"{number} {state}" for state, number in subject.states.items())
        raise RunError(
            f"not all runs of {subject.name} are done ({states}), and a study looks at test once, at its end; only the "
            "page (--format html) is made before."
            if not subject.is_done
            else f"no run of {subject.name} has a figure of the test split, so there is nothing for a table."
        )
    match format:
        case "markdown":
            return document(subject.question, rows, subject.metric)
        case "latex":
            return latex(rows, subject.metric, subject.question)
        case "csv":
            return comma_separated(rows, subject.metric)
    try:
        from cnn_jax.study.report import charts, page
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"a page or a plot needs {error.name}; install it with `pip install 'cnn-jax[report]'`, or take `--format` "
            "markdown, latex or csv."
        ) from error
    if format == "html":
        return page.html(subject, rows, predicted, trust_code=trust_code)
    if not (drawable := with_interval(rows)):
        raise RunError(f"{subject.name} has no difference with an interval to draw: it takes two arms, and two seeds.")
    return charts.as_png(charts.forest(drawable, len(rows) - 1, subject.metric))
