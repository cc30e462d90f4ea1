"""Images as points in the space of a feature: which lie near each other, and a plane to see them in."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Neighbours(NamedTuple):
    """Of each image that was asked for, the nearest first."""

    indices: Int[np.ndarray, "m k"]
    distance: Float[np.ndarray, "m k"]
    """Euclidean, in the unit of the feature."""


class Plane(NamedTuple):
    """Two axes of the largest variance."""

    points: Float[np.ndarray, "n 2"]
    explained: Float[np.ndarray, "2"]
    """The part of the variance along each axis."""


def nearest_neighbours(
    features: Float[np.ndarray, "n ..."], queries: Float[np.ndarray, "m ..."], number: int
) -> Neighbours:
    """The images whose features are nearest to those of others.

    Args:
      features: of the images to choose from; maps are flattened.
      queries: the same feature of the images that are asked for.
      number: of neighbours; all where there are fewer.
    """
    from sklearn.neighbors import NearestNeighbors

    known = _rows(features)
    search = NearestNeighbors(n_neighbors=min(number, len(known))).fit(known)
    distance, index = search.kneighbors(_rows(queries))
    return Neighbours(index, distance)


def principal_plane(features: Float[np.ndarray, "n ..."]) -> Plane:
    """Principal component analysis in two dimensions; maps are flattened.

    Raises:
      ValueError: for fewer than two images, or numbers an image.
    """
    from sklearn.decomposition import PCA

    rows = _rows(features)
    if min(rows.shape) < 2:
        raise ValueError(f"a plane needs two images and two numbers of each, got {rows.shape[0]} and {rows.shape[1]}.")
    analysis = PCA(2, svd_solver="randomized", random_state=0).fit(rows)
    return Plane(analysis.transform(rows), analysis.explained_variance_ratio_)


def _rows(features: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n d"]:
    return np.asarray(features, np.float64).reshape(len(features), -1)
