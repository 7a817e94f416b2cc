"""Negative controls: images with too little in them for a diagnosis, lesson 13.

A network that still answers well without the lungs did not need them to do so.
"""

import numpy as np

from xraylib.beyond.segmentation import find_lungs


def gray_level_features(X):
    """Measure eight features that do not know where the lungs are, though their gray levels count.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]

    Returns
    -------
    (n, 8) float64
        Mean, standard deviation, 5% and 95% quantile, and the mean of the left, right, top and
        bottom border, each a sixteenth of the side wide.

    Examples
    --------
    >>> gray_level_features(np.ones((2, 32, 32, 1))).round(1)[0].tolist()
    [1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    edge = max(X.shape[1] // 16, 1)
    borders = [X[:, :, :edge], X[:, :, -edge:], X[:, :edge], X[:, -edge:]]
    figures = [X.mean((1, 2, 3)), X.std((1, 2, 3)), *np.quantile(X, (0.05, 0.95), axis=(1, 2, 3))]
    return np.stack([*figures, *[border.mean((1, 2, 3)) for border in borders]], 1).astype(float)


def border_alone(X):
    """Black out all but the outer eighth of the image on each side.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]

    Returns
    -------
    (n, size, size, 1) float32 in [0, 1]

    Examples
    --------
    >>> float(border_alone(np.ones((1, 16, 16, 1), np.float32)).mean())
    0.4375
    """
    X = X.copy()
    edge = X.shape[1] // 8
    X[:, edge:-edge, edge:-edge] = 0
    return X


def box_around(inside):
    """Fill the smallest upright rectangle around each mask.

    Parameters
    ----------
    inside : (n, size, size, 1) bool

    Returns
    -------
    (n, size, size, 1) bool

    Examples
    --------
    >>> int(box_around(np.eye(4, dtype=bool)[None, ..., None]).sum())
    16
    """
    rows, columns = inside.any(2, keepdims=True), inside.any(1, keepdims=True)

    def between(hits, axis):
        since = np.logical_or.accumulate(hits, axis)
        until = np.flip(np.logical_or.accumulate(np.flip(hits, axis), axis), axis)
        return since & until

    return between(rows, 1) & between(columns, 2)


def make_controls(X, inside=None):
    """Make the negative controls that are images, lungs and outline alone, and the whole image.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]
    inside : (n, size, size, 1) bool, optional
        Where the lungs are, by default what `find_lungs` says.

    Returns
    -------
    dict of str to (n, size, size, 1) float32 in [0, 1]

    Examples
    --------
    >>> X = np.ones((1, 16, 16, 1), np.float32)
    >>> inside = np.zeros((1, 16, 16, 1), bool)
    >>> inside[:, 4:12, 4:12] = True
    >>> {name: float(control.mean()) for name, control in make_controls(X, inside).items()}
    {'whole': 1.0, 'border': 0.4375, 'without_lungs': 0.75, 'without_box': 0.75, 'lungs': 0.25, \
'outline': 0.25}
    """
    if inside is None:
        inside = (find_lungs(X) >= 0.5)[..., None]
    return {
        "whole": X,
        "border": border_alone(X),
        "without_lungs": X * ~inside,
        "without_box": X * ~box_around(inside),
        "lungs": X * inside,
        "outline": inside.astype(np.float32),
    }
