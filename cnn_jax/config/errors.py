"""Mistakes in a configuration."""


class ConfigError(ValueError):
    """A configuration that cannot be run: the message names the key, its value and the remedy."""
