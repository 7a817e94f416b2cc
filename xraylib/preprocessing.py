"""One image to one array: the described steps (resize, grayscale, divide by 255), and the same for a whole split."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from xraylib.files.decoding import encoded, read_image
from xraylib.files.store import is_interactive as watched

#: The decoder may hand over a JPEG this many times larger than asked for, not smaller: 4 keeps the mean difference
#: from decoding at full size near 0.1 gray levels.
DRAFT_MARGIN = 4
READ_AHEAD = 256  # images taken from a split at once


def preprocess_image(image, size=28):
    """One radiograph as the network sees it.

    Parameters
    ----------
    image : str or Path, bytes, PIL.Image.Image, or uint8 array of shape (h, w) or (h, w, 3)
        A file, an encoded file's content, or a picture in memory: JPEG, PNG, TIFF, BMP, WebP, GIF (first frame) or,
        with the optional pydicom, DICOM. Transparency is laid over black, 16-bit gray is scaled from its full range, a
        picture with an EXIF orientation is turned upright, and a DICOM picture gets its window, with bone in white.
    size : int
        Side of the result in pixels. The picture is resized to a square, whatever its shape.

    Returns
    -------
    (size, size, 1) float32 in [0, 1], 0 is black. For a JPEG larger than four times `size` the decoder is asked for
    a reduced picture first, which is faster; the mean difference from ``resize((28, 28)).convert("L") / 255`` stays
    under half a gray level.

    Raises
    ------
    FileNotFoundError if the path does not exist; ValueError that names the file for anything that is no readable image,
    cut off, or of more than 40 million pixels; TypeError for another type than the above.
    """
    if isinstance(image, str | os.PathLike):
        name = os.fspath(image)
        if not Path(image).exists():
            raise FileNotFoundError(f"{name}: no such file. Give the path of an image file.")
    else:
        name = getattr(image, "filename", None) or f"the given {type(image).__name__}"
    return _pixels(image, size, name).astype(np.float32)[:, :, None] / np.float32(255)


def _pixels(image, size, name):
    """The gray levels of an image whose `name` is known, (size, size) uint8."""
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}.")
    picture = read_image(image, name, DRAFT_MARGIN * size)
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC).convert("L"))


def preprocess_split(split, size=28):
    """A whole split as arrays, rows in the order of the split.

    Parameters
    ----------
    split : datasets.Dataset or datasets.IterableDataset with the columns of `xraylib.data.load_splits`.
    size : int, side of each picture in pixels.

    Returns
    -------
    X : (n, size, size, 1) float32 in [0, 1]
    y : (n,) int64, 0 = NORMAL, 1 = PNEUMONIA

    Memory grows by the arrays alone, however many images there are. Raises ValueError that lists every file that cannot
    be read, after all were tried; ``load_splits(source, on_error="skip")`` leaves such files out.
    """
    total = len(split) if hasattr(split, "__len__") else None
    gray, labels = deque(), []
    with tqdm(total=total, unit="image", disable=not watched()) as bar:
        for pictures, kinds in preprocess_batches(split, size):
            gray.append(pictures)
            labels.append(kinds)
            bar.update(len(kinds))
    X = np.empty((sum(map(len, gray)), size, size, 1), np.float32)
    done = 0
    while gray:  # each part is given free as the array fills
        pictures = gray.popleft()
        np.divide(pictures, np.float32(255), out=X[done : done + len(pictures)])
        done += len(pictures)
    return X, np.concatenate([np.empty(0, np.int64), *labels])


def preprocess_batches(split, size=28, batch_size=READ_AHEAD):
    """Yield ``(gray, y)`` for one batch of a split or a stream after the other, decoded in parallel.

    `gray` is (n, size, size, 1) uint8 in 0 … 255, `y` (n,) int64; n is `batch_size`, less in the last. At most two
    batches beyond the one given are taken from `split`. Raises ValueError as `preprocess_split`, after the last batch.
    """
    from datasets import Image as ImageFeature

    def pixels(image, name):
        if isinstance(image, dict):  # as encoded in the data set: we decode, at reduced size
            image = encoded(image)
        try:
            return _pixels(image, size, name)
        except ValueError as error:
            return error

    bad, waiting, workers = [], deque(), os.cpu_count() or 1

    def finish(futures, kinds):
        found = [picture for future in futures for picture in future.result()]
        bad.extend(picture for picture in found if isinstance(picture, ValueError))
        if not bad:
            return np.stack(found)[:, :, :, None], np.asarray(kinds, np.int64)

    with ThreadPoolExecutor(workers) as pool:
        rows = split.cast_column("image", ImageFeature(decode=False))
        for batch in rows.iter(batch_size):
            images, names = batch["image"], batch["file_name"]
            share = -(-len(images) // (2 * workers))
            parts = [slice(start, start + share) for start in range(0, len(images), share)]
            jobs = [
                pool.submit(lambda some, called: list(map(pixels, some, called)), images[p], names[p]) for p in parts
            ]
            waiting.append((jobs, batch["label"]))
            if len(waiting) > 1 and (ready := finish(*waiting.popleft())):
                yield ready
        for each in waiting:
            if ready := finish(*each):
                yield ready
    if bad:
        mend = 'Mend or remove them, or load the splits with on_error="skip".'
        listed = "\n".join(str(error) for error in bad)
        raise ValueError(f"{len(bad)} images cannot be read:\n{listed}\n{mend}" if len(bad) > 1 else str(bad[0]))


def check_arrays(X, y=None, shape=None):
    """Raise ValueError unless X is (n, size, size, 1), of `shape` after n if given, and y, if given, is (n,)."""
    if np.ndim(X) != 4 or np.shape(X)[3] != 1 or (shape is not None and np.shape(X)[1:] != tuple(shape)):
        wanted = ", ".join(map(str, shape or ("size", "size", 1)))
        raise ValueError(f"X must have the shape (n, {wanted}), not {np.shape(X)}.")
    if y is not None and np.shape(y) != (len(X),):
        raise ValueError(f"y must have the shape ({len(X)},) like X, not {np.shape(y)}.")
