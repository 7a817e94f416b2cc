"""Lungs and opacities found by two U-Nets that were taught by phantoms alone.

The first finds the lungs in the whole image, the image is cropped to them, the second marks the
opacities in the crop. Neither has ever seen a radiograph of a patient. Both come with the package;
`xraylib.beyond.teaching` says how they were trained, ``python -m xraylib teach`` does it again.
"""

from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from xraylib.beyond.unet import SIDE, Crop, LungBox, Standardise, build_unet
from xraylib.preprocessing import check_arrays
from xraylib.quiet import keras, ops

WEIGHTS = Path(__file__).with_name("phantom_taught.npz")


def find_lungs(X):
    """Find the lungs, with the U-Net that phantoms taught.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]
        Frontal chest radiographs, 28 pixels a side or more; 64 are looked at.

    Returns
    -------
    (n, size, size) float32 in [0, 1]
        The probability that the pixel lies in the lung fields; more than 0.5 only in the two
        largest areas.

    Raises
    ------
    ValueError
        If `X` has another shape, values outside [0, 1], or fewer than 28 pixels a side.

    Examples
    --------
    >>> find_lungs(np.zeros((2, 32, 32, 1), np.float32)).shape
    (2, 32, 32)
    """
    (lungs,) = _maps(X, opacity=False)
    for each in lungs:
        # Right and left are the two largest areas: gas in the stomach is no lung.
        area, count = ndimage.label(each > 0.5)
        sizes = np.bincount(area.ravel(), minlength=count + 1)[1:]
        small = 1 + np.argsort(sizes)[:-2]
        each[np.isin(area, small)] = 0
    return lungs


def find_opacity(X):
    """Mark opacities in the lungs, with the U-Nets that phantoms taught.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]
        As for `find_lungs`.

    Returns
    -------
    (n, size, size) float32 in [0, 1]
        The probability that the pixel lies in the lung fields and in an opacity.

    Raises
    ------
    ValueError
        As `find_lungs`.

    Examples
    --------
    >>> find_opacity(np.zeros((2, 32, 32, 1), np.float32)).shape
    (2, 32, 32)
    """
    return _maps(X)[1]


def _maps(X, opacity=True):
    """Ask for both maps, or for the lungs alone, 128 images at a time: (maps, n, size, size)."""
    X = np.asarray(X, np.float32)
    check_arrays(X)
    size = X.shape[1]
    if size < 28:
        raise ValueError(f"Lungs are found in images of 28 pixels or more, not {size}.")
    finder = build_finder(size, opacity)
    nothing = np.empty((0, *finder.output_shape[1:]), np.float32)
    maps = [finder.predict_on_batch(X[start : start + 128]) for start in range(0, len(X), 128)]
    return np.moveaxis(np.concatenate([nothing, *maps]), -1, 0)


@cache
def build_finder(size, opacity=True):
    """Build the network from images to both maps.

    Parameters
    ----------
    size : int
        Side of the images, pixels.
    opacity : bool, optional
        If False, only to the map of the lungs; the second U-Net is not asked.

    Returns
    -------
    keras.Model
        From (n, size, size, 1) to (n, size, size, 2), lungs and opacities, or (n, size, size, 1).

    Examples
    --------
    >>> build_finder(28).output_shape
    (None, 28, 28, 2)
    """
    inputs = keras.Input((size, size, 1))
    # (n, 64, 64, 1): the lungs in the image; the box about them; what is opaque in the crop.
    lungs = ops.sigmoid(load_network("lungs")(Standardise(SIDE)(inputs)))[..., :1]
    maps = [ops.image.resize(lungs, (size, size))]
    if not opacity:
        return keras.Model(inputs, maps[0])
    box = LungBox()(lungs)
    crop = Crop(SIDE)([inputs, box])
    opaque = ops.prod(ops.sigmoid(load_network("opacity")(Standardise(SIDE)(crop))), -1, True)
    # Back to where they lie in the image: where the image lies as seen from the crop.
    left, right, top, bottom = ops.unstack(box, axis=1)
    width = right - left
    height = bottom - top
    back = ops.stack([-left / width, (1 - left) / width, -top / height, (1 - top) / height], 1)
    maps.append(Crop(size)([opaque, back]))
    return keras.Model(inputs, ops.concatenate(maps, -1))


def load_network(stage):
    """Load one of the two U-Nets that come with the package.

    Parameters
    ----------
    stage : str
        "lungs" or "opacity".

    Returns
    -------
    keras.Model
        As `xraylib.beyond.unet.build_unet` builds it.

    Examples
    --------
    >>> load_network("lungs").output_shape
    (None, 64, 64, 2)
    """
    model = build_unet()
    with np.load(WEIGHTS, allow_pickle=False) as file:
        number = range(len(model.weights))
        model.set_weights([file[f"{stage}/{k:02}"].astype(np.float32) for k in number])
    model.trainable = False
    return model
