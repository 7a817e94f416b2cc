"""Numerical tools of the phantoms: random streams, smooth shapes, finer and coarser grids.

Arrays are float32 unless said otherwise, and stay so.
"""

import numpy as np
from scipy import ndimage

SIZE = 640  # pixels on a side of the finished radiograph
GRID = SIZE // 2  # pixels on a side of the grid on which bodies are drawn


def random_stream(seed, patient, part, image_number=0):
    """Return an independent random generator for each part of a phantom.

    Parameters
    ----------
    seed, patient, image_number : int
    part : int
        0 the anatomy, 1 one image of it, 2 which disease, 3 where and how strong the disease is.

    Returns
    -------
    numpy.random.Generator

    Examples
    --------
    >>> random_stream(0, 7, 1).random() == random_stream(0, 7, 3).random()
    False
    """
    return np.random.default_rng([seed, patient, part, image_number])


def ellipse(*offsets):
    """Return the sum of squares of x / a, y / b, ...: below 1 inside the ellipse.

    Examples
    --------
    >>> ellipse(0.6, 0.5).__round__(2)
    0.61
    """
    return sum(offset * offset for offset in offsets)


def chord(*offsets):
    """Return the path through an ellipsoid as a proportion of its greatest thickness.

    Parameters
    ----------
    *offsets : ndarray
        As for `ellipse`: where the beam crosses it.

    Returns
    -------
    ndarray
        sqrt(1 - sum of squares), 0 outside.

    Examples
    --------
    >>> chord(np.array([0, 0.6, 2])).tolist()
    [1.0, 0.8, 0.0]
    """
    return np.sqrt(np.clip(1 - ellipse(*offsets), 0, 1))


def smooth_union(*shapes, hardness=5.0):
    """Return the path through several ellipsoids that melt into one, as a proportion like `chord`.

    Parameters
    ----------
    *shapes : ndarray
        The `ellipse` of each.
    hardness : float
        The union is that of a smooth minimum, -log(sum of exp(-hardness * shape)) / hardness.

    Examples
    --------
    >>> smooth_union(np.array([0.0, 4.0]), np.array([4.0, 4.0])).round(3).tolist()
    [1.0, 0.0]
    """
    return np.sqrt(
        np.clip(
            1
            + np.log(sum(np.exp(-hardness * np.minimum(shape, 9)) for shape in shapes)) / hardness,
            0,
            1,
        )
    )


def smoothstep(x, low, high):
    """Return a step from 0 at `low` to 1 at `high` whose slope is 0 at both ends.

    Examples
    --------
    >>> smoothstep(np.array([0.0, 2.0, 3.0, 9.0]), 1, 3).tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    t = np.clip((x - low) * (1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def upsample(a, side):
    """Double a square array by linear interpolation until it has `side` pixels on a side.

    Examples
    --------
    >>> upsample(np.array([[0.0, 4.0], [0.0, 4.0]]), 4)[0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    while len(a) < side:  # rows, transpose, and then what were columns
        padded = np.concatenate([a[:1], a, a[-1:]])
        # (n, 2, m) to (2 n, m) to (m, 2 n)
        a = (
            np.stack([0.75 * a + 0.25 * padded[:-2], 0.75 * a + 0.25 * padded[2:]], axis=1)
            .reshape(-1, a.shape[1])
            .T
        )
    return np.ascontiguousarray(a)


def block_mean(a, n):
    """Return the means over blocks of n × n pixels; n is a power of two.

    Examples
    --------
    >>> block_mean(np.array([[0.0, 1.0], [2.0, 3.0]]), 2).tolist()
    [[1.5]]
    """
    for _ in range(n.bit_length() - 1):
        a = (a[::2, ::2] + a[1::2, ::2] + (a[::2, 1::2] + a[1::2, 1::2])) * 0.25
    return a


def blur(a, sigma):
    """Return a Gaussian blur of standard deviation `sigma` (pixels) that ends at 2.5 `sigma`.

    Examples
    --------
    >>> blur(np.eye(3), 0.5).round(2)[1].tolist()
    [0.18, 0.64, 0.18]
    """
    return ndimage.gaussian_filter(a, sigma, mode="nearest", truncate=2.5)


def fractal_noise(rng, cells, octaves=3):
    """Draw a smooth random field about 0 with a standard deviation near 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    cells : int
        Blobs on a side of the finest octave; each further one has half as many, and is stronger.
    octaves : int

    Returns
    -------
    ndarray
        (160, 160) float32.

    Examples
    --------
    >>> fractal_noise(np.random.default_rng(0), 20).shape
    (160, 160)
    """
    total = np.zeros((GRID // 2, GRID // 2), np.float32)
    for k in range(octaves):
        values = rng.standard_normal((cells >> k, cells >> k), dtype=np.float32)
        place = np.linspace(0, len(values) - 1.001, GRID // 2, dtype=np.float32)
        cell = place.astype(int)
        f = smoothstep(place % 1, 0, 1)
        rows = values[cell] * (1 - f)[:, None] + values[cell + 1] * f[:, None]  # (160, cells)
        total += (
            (rows[:, cell] * (1 - f) + rows[:, cell + 1] * f) * 1.25 * 0.65 ** (octaves - 1 - k)
        )
    return total
