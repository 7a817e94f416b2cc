"""One image to one array: resize, grayscale, divide by 255; and the same for a whole split."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, pairwise, repeat

import numpy as np
from datasets import Image as ImageFeature
from PIL import Image
from tqdm.auto import tqdm

from xraylib.files.decoding import encoded, read_image
from xraylib.files.store import is_interactive

#: A JPEG is decoded at this many times the size asked for, or more: 4 keeps the difference from
#: decoding at full size near 0.1 gray levels in the mean.
MARGIN = 4
WORKERS = os.cpu_count() or 1


def preprocess_image(image, size=28):
    """Turn one radiograph into the array that the network sees.

    For an opened image that EXIF does not turn, this equals the reference steps::

        np.asarray(image.resize((28, 28)).convert("L"), np.float32)[:, :, None] / 255

    A JPEG file at least eight times as large as `size` is decoded at a half, a quarter or an eighth
    of its sides, which is several times faster. The difference from the reference steps is about
    0.1 gray levels of 255 in the mean, at most 0.3 in any image, and no pixel is off by more than 4
    (gray and tinted images from 30×30 to 3000×3000; with saturated colors the mean may reach 0.5).

    Parameters
    ----------
    image : str, PathLike, bytes, PIL.Image.Image, or uint8 array of shape (h, w) or (h, w, 3)
        A file, the content of a file, or an image in memory: JPEG, PNG, TIFF, BMP, WebP, GIF
        (first frame), PPM, JPEG 2000 or, with the optional pydicom, DICOM. Transparency is laid
        over black, 16-bit gray is scaled from its full range, an EXIF orientation is applied, and
        DICOM is shown through its window, with bone in white.
    size : int
        Side of the result in pixels. The image is resized to a square, whatever its shape.

    Returns
    -------
    ndarray
        (size, size, 1) float32 in [0, 1], where 0 is black.

    Raises
    ------
    FileNotFoundError
        The path does not exist.
    ValueError
        Names the file: it is no readable image, cut off, or of more than 40 million pixels.
    TypeError
        For another type than the above.

    Examples
    --------
    >>> preprocess_image(np.full((640, 480), 51, np.uint8))[0, 0]
    array([0.2], dtype=float32)
    """
    _check_size(size)
    is_path = isinstance(image, str | os.PathLike)
    if is_path and not os.path.exists(image):
        raise FileNotFoundError(f"{image}: no such file. Give the path of an image file.")
    name = (
        image if is_path else getattr(image, "filename", "") or f"the given {type(image).__name__}"
    )
    return _decode(image, name, size) / np.float32(255)


def _check_size(size):
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}.")


def _decode(image, name, size):
    """Return the gray levels of an image, (size, size, 1) uint8; `name` is what errors call it."""
    image, box = read_image(image, name, MARGIN * size)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box)
    return np.asarray(image.convert("L"))[:, :, None]


def preprocess_split(split, size=28):
    """Turn a whole split into arrays, rows in the order of the split.

    Memory grows by these arrays alone, however many images there are.

    Parameters
    ----------
    split : datasets.Dataset or datasets.IterableDataset
        With the columns image, label and file_name, as `xraylib.data.load_splits` returns it.
    size : int
        Side of each image in pixels.

    Returns
    -------
    X : ndarray
        (n, size, size, 1) float32 in [0, 1].
    y : ndarray
        (n,) int64, 0 = NORMAL, 1 = PNEUMONIA.

    Raises
    ------
    ValueError
        If `size` is no size; or it lists every file that cannot be read, after all were tried.

    Examples
    --------
    >>> from datasets import Dataset, Features, Value
    >>> features = {"image": ImageFeature(), "label": Value("int64"), "file_name": Value("string")}
    >>> rows = {"image": [np.zeros((9, 9), np.uint8)], "label": [1], "file_name": ["black.png"]}
    >>> X, y = preprocess_split(Dataset.from_dict(rows, features=Features(features)))
    >>> X.shape, y
    ((1, 28, 28, 1), array([1]))
    """
    _check_size(size)
    y = []

    def images():
        for gray, labels in preprocess_batches(split, size):
            y.extend(labels)
            yield from gray

    bar = tqdm(
        images(),
        total=getattr(split, "num_rows", None),  # a stream does not know
        unit="image",
        disable=not is_interactive(),
    )
    X = np.fromiter(bar, np.dtype((np.float32, (size, size, 1))))  # grows in place
    X /= 255
    return X, np.array(y, np.int64)


def preprocess_batches(split, size=28, batch_size=256):
    """Yield a split or a stream batch by batch, decoded in parallel.

    At most two batches beyond the one yielded are read from `split`.

    Parameters
    ----------
    split : datasets.Dataset or datasets.IterableDataset
        As in `preprocess_split`.
    size : int
        Side of each image in pixels.
    batch_size : int
        Images in a batch; the last may have fewer.

    Yields
    ------
    gray : ndarray
        (n, size, size, 1) uint8 in 0 … 255.
    y : ndarray
        (n,) int64.

    Raises
    ------
    ValueError
        Lists every file that cannot be read, after all were tried.

    Examples
    --------
    >>> from datasets import Dataset, Features, Value
    >>> features = {"image": ImageFeature(), "label": Value("int64"), "file_name": Value("string")}
    >>> rows = {"image": [np.zeros((9, 9), np.uint8)], "label": [1], "file_name": ["black.png"]}
    >>> split = Dataset.from_dict(rows, features=Features(features))
    >>> [(gray.shape, gray.dtype, y) for gray, y in preprocess_batches(split)]
    [((1, 28, 28, 1), dtype('uint8'), array([1]))]
    """
    _check_size(size)
    errors = []
    rows = split.cast_column("image", ImageFeature(decode=False))
    if hasattr(split, "epoch"):  # what is made of a stream would begin with the order of epoch 0
        rows.set_epoch(split.epoch)
    with ThreadPoolExecutor(WORKERS) as pool:
        # Each batch is waited for when the one after it is on its way.
        started = (_decode_batch(pool, batch, size) for batch in rows.iter(batch_size))
        for (gray, y, found), _ in pairwise(chain(started, [None])):
            errors += chain.from_iterable(found)
            if not errors:
                yield gray, y
    if errors:
        raise ValueError(
            f"{len(errors)} image{'s' * (len(errors) > 1)} cannot be read:\n"
            + "\n".join(sorted(errors))
            + "\nReplace or remove them. A data set leaves them out by "
            'load_splits(path, on_error="skip").'
        )


def _decode_batch(pool, batch, size):
    """Return the arrays of a batch, the first yet to be filled, and the errors that come of it."""
    y = np.array(batch["label"], np.int64)
    gray = np.empty((len(y), size, size, 1), np.uint8)
    rows = list(zip(gray, batch["image"], batch["file_name"], strict=True))
    # All threads draw from one iterator: a task for each image would cost as much as a small PNG.
    return gray, y, pool.map(_decode_rows, repeat(iter(rows), WORKERS), repeat(size))


def _decode_rows(rows, size):
    """Decode the rows that no other thread has taken; return what those say that cannot be read."""
    errors = []
    for gray, image, name in rows:
        try:
            gray[:] = _decode(encoded(image), image["path"] or name, size)
        except ValueError as error:
            errors.append(str(error))
    return errors


def check_arrays(X, y=None, shape=None):
    """Raise an error unless images and labels have the shapes and values that a network expects.

    Parameters
    ----------
    X : array
        Images, (n, size, size, 1) in [0, 1].
    y : array, optional
        Labels, (n,), 0 or 1: of one image or more.
    shape : tuple of int, optional
        What `X` must have as shape after n.

    Raises
    ------
    ValueError
        Says which shape or value is wrong.

    Examples
    --------
    >>> check_arrays(np.zeros((5, 28, 28, 1)), np.zeros(5))
    >>> check_arrays(np.full((5, 28, 28, 1), 255))
    Traceback (most recent call last):
    ValueError: X must lie in [0, 1]: divide gray levels of 0 … 255 by 255, remove NaN.
    """
    if np.ndim(X) != 4 or np.shape(X)[3] != 1 or np.shape(X)[1:] != tuple(shape or np.shape(X)[1:]):
        raise ValueError(
            f"X must have the shape (n, {', '.join(map(str, shape or ('size', 'size', 1)))}), "
            f"not {np.shape(X)}."
        )
    if y is not None and np.shape(y) != (len(X),):
        raise ValueError(f"y must have the shape ({len(X)},) like X, not {np.shape(y)}.")
    if y is not None and len(X) == 0:
        raise ValueError("X has no image: there is nothing to train on.")
    if y is not None and not np.isin(y, (0, 1)).all():
        raise ValueError("y must hold 0 (NORMAL) and 1 (PNEUMONIA) only.")
    if not 0 <= np.min(X, initial=0) <= np.max(X, initial=0) <= 1:  # nor does NaN
        raise ValueError("X must lie in [0, 1]: divide gray levels of 0 … 255 by 255, remove NaN.")
