"""One image to one array: the described steps (resize, grayscale, divide by 255), and the same for a whole split."""

import io
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from xraylib.store import watched

#: The decoder may hand over a JPEG this many times larger than asked for, not smaller: 4 keeps the mean difference
#: from decoding at full size near 0.1 gray levels.
DRAFT_MARGIN = 4
MAX_PIXELS = 100_000_000


def preprocess_image(image, size=28):
    """One radiograph as the network sees it.

    Parameters
    ----------
    image : str or Path, bytes, PIL.Image.Image, or uint8 array of shape (h, w) or (h, w, 3)
        A file, an encoded file's content, or a picture in memory. Transparency is laid over black, 16-bit gray is
        scaled from its full range, and a picture with an EXIF orientation is turned upright.
    size : int
        Side of the result in pixels. The picture is resized to a square, whatever its shape.

    Returns
    -------
    (size, size, 1) float32 in [0, 1], 0 is black. For a JPEG larger than four times `size` the decoder is asked for
    a reduced picture first, which is faster; the mean difference from ``resize((28, 28)).convert("L") / 255`` stays
    under half a gray level.

    Raises
    ------
    FileNotFoundError if the path does not exist; ValueError that names the file for anything that is no readable image;
    TypeError for another type than the above.
    """
    if isinstance(image, str | os.PathLike):
        name = os.fspath(image)
        if not Path(image).exists():
            raise FileNotFoundError(f"{name}: no such file. Give the path of an image file.")
    else:
        name = getattr(image, "filename", None) or f"the given {type(image).__name__}"
    return _pixels(image, size, name)


def _pixels(image, size, name):
    """`preprocess_image` for an image whose `name` is known (a file's content no longer knows where it came from)."""
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}.")
    try:
        if isinstance(image, np.ndarray):
            opened = _from_array(image, name)
        elif isinstance(image, Image.Image):
            opened = image
        elif isinstance(image, bytes | bytearray | memoryview):
            opened = Image.open(io.BytesIO(image))
        elif isinstance(image, str | os.PathLike):
            opened = Image.open(image)
        else:
            raise TypeError(f"{name}: give a path, bytes, a PIL image or a uint8 array.")
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"{opened.width}×{opened.height} pixels are more than a radiograph has")
        if opened is not image:
            opened.draft("L", (DRAFT_MARGIN * size, DRAFT_MARGIN * size))
        gray = _to_gray_or_rgb(ImageOps.exif_transpose(opened)).resize((size, size), Image.Resampling.BICUBIC)
        return np.asarray(gray.convert("L"), np.float32)[:, :, None] / np.float32(255)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        message = f"{name}: cannot be read as an image ({error}). Replace the file by a whole one or take it out."
        raise ValueError(message) from error


def _from_array(array, name):
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        shape = f"{array.dtype} array of shape {array.shape}"
        raise ValueError(f"{shape}; needed is uint8 of shape (h, w) or (h, w, 3)")
    return Image.fromarray(array)


def _to_gray_or_rgb(image):
    """A PIL image of any mode as L or RGB, without losing its range or its transparency's meaning."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith(("I", "F")):  # 16-bit and float gray: PIL's own convert would clip at 255
        values = np.asarray(image, np.float64)
        if not np.isfinite(values).all():
            raise ValueError("some pixels are not numbers")
        top = 65535 if image.mode.startswith("I") else (255 if values.max() > 1 else 1)
        return Image.fromarray(np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def preprocess_split(split, size=28):
    """A whole split as arrays, rows in the order of the split.

    Parameters
    ----------
    split : datasets.Dataset with the columns of `xraylib.data.load_splits`.
    size : int, side of each picture in pixels.

    Returns
    -------
    X : (n, size, size, 1) float32 in [0, 1]
    y : (n,) int64, 0 = NORMAL, 1 = PNEUMONIA

    Raises ValueError that names the file for the first image that cannot be read.
    """
    from datasets import Image as ImageFeature

    rows = split.cast_column("image", ImageFeature(decode=False))  # the encoded bytes: we decode, at reduced size
    X = np.empty((len(rows), size, size, 1), np.float32)

    def fill(number, row):
        image = row["image"]
        X[number] = _pixels(image["path"] if image["bytes"] is None else image["bytes"], size, row["file_name"])

    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(rows), unit="image", disable=not watched()) as bar:
        waiting = deque()  # bounded, so that memory does not grow with the split
        for number, row in enumerate(rows):
            waiting.append(pool.submit(fill, number, row))
            if len(waiting) > 16 * workers:
                waiting.popleft().result()
                bar.update()
        for future in waiting:
            future.result()
            bar.update()
    return X, np.asarray(rows["label"], np.int64)


def check_arrays(X, y=None, shape=None):
    """Raise ValueError unless X is (n, size, size, 1), of `shape` after n if given, and y, if given, is (n,)."""
    if np.ndim(X) != 4 or np.shape(X)[3] != 1 or (shape is not None and np.shape(X)[1:] != tuple(shape)):
        wanted = ", ".join(map(str, shape or ("size", "size", 1)))
        raise ValueError(f"X must have the shape (n, {wanted}), not {np.shape(X)}.")
    if y is not None and np.shape(y) != (len(X),):
        raise ValueError(f"y must have the shape ({len(X)},) like X, not {np.shape(y)}.")
