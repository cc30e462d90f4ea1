"""The ranges of the `data` section, checked before any data are opened."""

from cnn_jax.config import ConfigError, DataConfig


def check_ranges(data: DataConfig) -> None:
    """Refuse values that no data set could have a use for.

    Raises:
      ConfigError: naming the key, the value and what it may be.
    """
    unit = "it is of images in 0..1, not 0..255: divide by 255"
    fraction, each = data.validation_fraction, data.examples_per_class
    rules = {
        "validation_fraction": (fraction is None or 0 <= fraction < 1, "it must lie from 0 to below 1"),
        "examples_per_class": (each is None or each > 0, "it must be positive, or None to take all"),
        "class_fractions": (all(0 <= part <= 1 for part in data.class_fractions), "each must lie from 0 to 1"),
        "label_noise": (0 <= data.label_noise <= 1, "it must lie from 0 to 1"),
        "mean": (all(0 <= value <= 1 for value in data.mean), f"it must lie from 0 to 1; {unit}"),
        "std": (all(0 < value <= 1 for value in data.std), f"it must lie above 0, up to 1; {unit}"),
    }
    for key, (holds, remedy) in rules.items():
        if not holds:
            raise ConfigError(f"`data.{key}` is {getattr(data, key)}: {remedy}.")
