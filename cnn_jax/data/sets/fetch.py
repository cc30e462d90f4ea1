"""Official archives from where they are published."""

from collections.abc import Sequence
from pathlib import Path

from cnn_jax.data.errors import DataError
from cnn_jax.data.sets.checksums import official_archives
from cnn_jax.download import DownloadError, Report, download


def fetch_archives(name: str, files: Sequence[str], folder: Path, report: Report | None = None) -> Path:
    """Download the archives `files` of the set `name` into `folder`; what is there already stays.

    Args:
      report: is called as report(file, bytes fetched, bytes in the file) now and then.

    Raises:
      DataError: without a network, within two seconds; or where an archive is not what its publisher announced.
    """
    known = official_archives(name)
    for file in files:
        if not (folder / file).exists():
            try:
                download(known[file], folder / file, report)
            except DownloadError as error:
                offline = f"fetch it elsewhere and name its folder: `cnn-jax data prepare {name} --source DIR`."
                raise DataError(f"{error}; {offline}") from error
    return folder
