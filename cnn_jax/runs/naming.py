"""Mistakes in a configuration are said with the key that they are in."""

import contextlib
from collections.abc import Iterator

from cnn_jax.config import ConfigError


@contextlib.contextmanager
def named(*keys: str) -> Iterator[None]:
    """Says which configuration key, or keys together, a mistake is in."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{' with '.join(f'`{key}`' for key in keys)}: {error}") from error
