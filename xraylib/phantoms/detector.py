"""From attenuation to gray levels: scatter, blur, quantum noise, window and curve of the display.

All ranges are by eye. Nothing here knows of the disease.
"""

import math
from dataclasses import dataclass

import numpy as np

from xraylib.phantoms.fields import GRID, SIZE, block_mean, blur, upsample


@dataclass(frozen=True)
class Exposure:
    """How one image was exposed and is displayed."""

    dark: float  # gray level of what is black
    border: list  # pixels of the drawing grid shut by the collimator: top, bottom, left, right
    scatter: float  # scattered photons per primary photon
    focus: float  # standard deviation of the blur, pixels of the drawing grid
    photons: float  # per pixel in air
    sharpen: float  # strength of the edge enhancement
    black: float  # what is black, relative to the least attenuation of the trunk
    white: float  # what is white, from black, relative to the greatest
    gamma: float  # exponent of the curve
    knee: float  # 0 to 1, how the curve flattens towards white
    gain: float  # gray levels from black to white


def draw_exposure(rng):
    """Draw exposure and display of an image.

    Returns
    -------
    Exposure
    """
    return Exposure(
        dark=rng.uniform(0, 20),
        border=(rng.uniform(-0.02, 0.10, 4).clip(0) * GRID * (rng.random() < 0.15))
        .astype(int)
        .tolist(),
        scatter=rng.uniform(0.03, 0.30),
        focus=rng.uniform(0.3, 1.0),
        photons=10 ** rng.uniform(3.0, 4.5),
        sharpen=rng.uniform(0, 0.9),
        black=rng.uniform(0.2, 0.8),
        white=rng.uniform(1.0, 1.2),
        gamma=rng.uniform(0.8, 1.2),
        knee=rng.uniform(0, 0.5),
        gain=rng.uniform(190, 240),
    )


def wide_blur(a, block):
    """Return a blur of 3 blocks of `block` pixels, of a square array; it keeps its shape."""
    return upsample(blur(block_mean(a, block), 3.0), len(a))


def signal(attenuation, scatter=0.0, sharpen=0.0, block=8):
    """Return what the detector sees: -ln of primary and scattered photons, its edges enhanced.

    Parameters
    ----------
    attenuation : ndarray
        (n, n) float32.
    scatter, sharpen : float
        As in `Exposure`.
    block : int
        Pixels of a third of the distance over which photons scatter; a power of two.

    Returns
    -------
    ndarray
        (n, n) float32.

    Examples
    --------
    >>> signal(np.full((16, 16), 2, np.float32)).round(2)[0, 0].item()
    2.0
    """
    primary = np.exp(-attenuation)
    haze = wide_blur(primary * (1 - primary * primary), block)  # of photons that met some matter
    seen = -np.log(primary + scatter * haze + 0.0005)
    return seen + sharpen * (seen - wide_blur(seen, block))


def develop(rng, exposure, healthy, added, trunk):
    """Return the image of a body.

    Parameters
    ----------
    rng : numpy.random.Generator
    exposure : Exposure
    healthy, added : ndarray
        (320, 320) float32: attenuation of the body and of its disease.
    trunk : ndarray
        (320, 320) float32: path through the body, cm.

    Returns
    -------
    ndarray
        (640, 640) uint8.
    """
    # The window is set on the body without its disease, so that nothing outside the lungs tells of it.
    plain = signal(block_mean(healthy, 4), exposure.scatter, exposure.sharpen, 2)[4:-4, 4:-4]
    inside = block_mean(trunk, 4)[4:-4, 4:-4] > 5
    least, greatest = np.percentile(plain[inside], [2, 98]).tolist()
    low = least * exposure.black
    high = low + (greatest - low) * exposure.white
    # Quantum noise: a pixel of N photons varies by 1 / sqrt(N).
    seen = blur(signal(healthy + added, exposure.scatter, exposure.sharpen), exposure.focus)
    noise = upsample(np.exp(0.5 * seen) * (0.5 / math.sqrt(exposure.photons)), SIZE)
    full = upsample(seen, SIZE) + noise * rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    # The curve from signal to gray level, as a table of 4096 steps from black to 1.2 of the window.
    g = np.linspace(0, 1.2, 4096) ** exposure.gamma
    knee = (1 - np.exp(-2.2 * g)) / (1 - math.exp(-2.2))
    g = (1 - exposure.knee) * g + exposure.knee * knee
    curve = np.clip(exposure.dark + exposure.gain * g + 0.5, 0, 255).astype(np.uint8)
    return curve[np.clip((full - low) * (4095 / 1.2 / (high - low)), 0, 4095).astype(np.int16)]
