"""Published weights by the name of the network, kept in the user's cache folder."""

import json
import os
from pathlib import Path
from typing import Any

from cnn_jax.download import DownloadError, Report, copy_published, download, is_published
from cnn_jax.paths import PathError, cache_folder, local_path
from cnn_jax.weights.files import WeightsError
from cnn_jax.weights.published import Source, published_weights
from cnn_jax.weights.timm_config import timm_config_path

_MIRROR = "CNN_JAX_MIRROR"


def fetch_weights(
    network: str, *, source: Source = "torchvision", mirror: Path | str | None = None, report: Report | None = None
) -> dict[str, Any]:
    """Fetches published weights, unless they are there already: for `import_weights` and `model.weights`.

    Nothing of a file is read but its bytes, for the checksum.

    Args:
      network: a name that `cnn-jax models` lists.
      source: whose weights.
      mirror: a folder to take them from in place of the network: another machine's `~/.cache/cnn_jax/weights`, or one
        that holds the file itself, such as PyTorch's `hub/checkpoints`; None: $CNN_JAX_MIRROR.
      report: is called as report(name, bytes fetched, bytes in the file) now and then.

    Returns:
      file, in the cache folder; url, licence; `sha256`, as many digits of it as were compared.

    Raises:
      ValueError: where no such weights are known.
      PathError: (a ValueError) for a mirror that is no folder.
      WeightsError: where they cannot be had, or are others than were published.
    """
    weights = published_weights(network, source)
    published, name = weights.file, weights.file.url.rpartition("/")[2]
    path = cache_folder() / "weights" / source / network / name
    key = "--mirror" if mirror else f"${_MIRROR}"
    mirror = mirror or os.environ.get(_MIRROR)
    try:
        if not is_published(published, path):
            if mirror:
                folder = local_path(mirror, key)
                copy_published(published, _in_mirror(folder, key, source, network, name), path)
            else:
                download(published, path, report)
    except DownloadError as error:
        raise WeightsError(
            f"{error}. Fetch it elsewhere, and name its folder by --mirror DIR or ${_MIRROR}."
        ) from error
    if weights.timm_config:
        timm_config_path(path).write_text(json.dumps(weights.timm_config, indent=2) + "\n")
    return {"file": str(path), "url": published.url, "licence": weights.licence, "sha256": published.sha256}


def _in_mirror(mirror: Path, key: str, *parts: str) -> Path:
    if not mirror.is_dir():
        raise PathError(f"`{key}` is {mirror}, which is no folder.")
    for path in (mirror.joinpath(*parts), mirror / parts[-1]):
        if path.is_file():
            return path
    raise WeightsError(f"`{mirror}` holds neither {'/'.join(parts)} nor {parts[-1]}.")
