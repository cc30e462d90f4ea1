"""Mean and standard deviation by channel, by which images are standardised.

They are those of a stored set's own training images, or ImageNet's for every set of image files.
"""

import numpy as np

Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # means and deviations, in 0..1

# What everybody normalises large colour images by, and so what published weights expect.
IMAGENET_STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_CHUNK = 1024  # images counted at a time


def channel_statistics(images: np.ndarray) -> Statistics:
    """Mean and standard deviation per channel of uint8 images [n, H, W, C], scaled to 0..1.

    They come from exact counts of the 256 values, so they depend neither on the order nor on the size of the set.
    """
    value = np.arange(256) / 255
    counts = _value_counts(images)
    total = counts.sum(axis=1)
    mean = counts @ value / total
    std = np.sqrt((counts * (value - mean[:, np.newaxis]) ** 2).sum(axis=1) / total)
    return tuple(mean.tolist()), tuple(std.tolist())


def _value_counts(images: np.ndarray) -> np.ndarray:
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for first in range(0, len(images), _CHUNK):
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(images[first : first + _CHUNK, ..., channel].ravel(), minlength=256)
    return counts
