"""From attenuation to gray levels: scatter, blur, quantum noise, window and curve of the display.

All ranges are by eye. Nothing here knows of the disease.
"""

import math

import numpy as np

from xraylib.phantoms.fields import SIZE, block_mean, blur, upsample


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
        As in `Position`.
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


def develop(rng, position, healthy, added, trunk):
    """Return the image of a body.

    Parameters
    ----------
    rng : numpy.random.Generator
    position : Position
    healthy, added : ndarray
        (320, 320) float32: attenuation of the body and of its disease.
    trunk : ndarray
        (320, 320) float32: path through the body, cm.

    Returns
    -------
    ndarray
        (640, 640) uint8.
    """
    # The window is set on the body without its disease: nothing outside the lungs tells of it.
    plain = signal(block_mean(healthy, 4), position.scatter, position.sharpen, 2)[4:-4, 4:-4]
    least, greatest = np.percentile(plain[block_mean(trunk, 4)[4:-4, 4:-4] > 5], [2, 98]).tolist()
    low = least * position.black
    high = low + (greatest - low) * position.white
    # Quantum noise: a pixel of N photons varies by 1 / sqrt(N); here N is 4 * photons in air.
    seen = blur(signal(healthy + added, position.scatter, position.sharpen), position.focus)
    noise = upsample(np.exp(0.5 * seen) * (0.5 / math.sqrt(position.photons)), SIZE)
    full = upsample(seen, SIZE) + noise * rng.standard_normal((SIZE, SIZE), dtype=np.float32)
    # The curve from signal to gray level, as a table of 4096 steps from black to 1.2 of the window.
    g = np.linspace(0, 1.2, 4096) ** position.gamma
    g = (1 - position.knee) * g + position.knee * (1 - np.exp(-2.2 * g)) / (1 - math.exp(-2.2))
    curve = np.clip(position.dark + position.gain * g + 0.5, 0, 255).astype(np.uint8)
    return curve[np.clip((full - low) * (4095 / 1.2 / (high - low)), 0, 4095).astype(np.int16)]
