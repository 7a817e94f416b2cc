"""The content of an image file to an image in memory, or an error that names the file.

Nothing half read passes.
"""

import errno
import io
import math
import os
from contextlib import suppress

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from simplejpeg import decode_jpeg, decode_jpeg_header

from xraylib.files.dicom import read_dicom

#: What is opened at all; Pillow knows more formats, some of which start other programs.
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")
MAX_PIXELS = 40_000_000  # no radiograph has more
ABSENT = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)  # no file has this path
#: What turns an image upright, by its EXIF orientation.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
JPEG_SCAN = b"\xff\xda"  # begins the pixels
#: What ends a whole file, and what begins its pixels.
MARKS = {
    "PNG": (b"IEND", b"IDAT"),
    "JPEG": (b"\xff\xd9", JPEG_SCAN),
    "MPO": (b"\xff\xd9", JPEG_SCAN),
}


def encoded(image):
    """Return what is behind an undecoded image of a data set.

    Parameters
    ----------
    image : dict
        ``{"path": str or None, "bytes": bytes or None}``

    Returns
    -------
    bytes or str
        The content of the file, else its path.

    Examples
    --------
    >>> encoded({"path": "chest.jpg", "bytes": None})
    'chest.jpg'
    """
    return image["path"] if image["bytes"] is None else image["bytes"]


def read_image(image, name, side):
    """Return an image upright, and which part of it shows the whole radiograph.

    A JPEG decoder can halve the sides of an image, up to three times, in a fraction of the time.
    It rounds odd sides up: 1172 pixels become 147, of which 146.5 show something. Resize to the box
    that is returned with the image: ``image.resize((28, 28), Image.Resampling.BICUBIC, box)``.

    Parameters
    ----------
    image : str, PathLike, bytes, PIL.Image.Image, or uint8 array of shape (h, w) or (h, w, 3)
    name : str
        What errors call it.
    side : int
        Pixels. A JPEG file may come reduced, to this side or more.

    Returns
    -------
    image : PIL.Image.Image
        Of mode L or RGB; of a JPEG file L.
    box : tuple of float or None
        Left, upper, right and lower end in pixels; None for the whole image.

    Raises
    ------
    ValueError
        Names the file if it is no whole image of a known format and a reasonable size.
    TypeError
        For another type than the above.
    OSError
        If the disk fails, or the file may not be read: it need not be damaged.

    Examples
    --------
    >>> from simplejpeg import encode_jpeg
    >>> content = encode_jpeg(np.zeros((1172, 986, 3), np.uint8))
    >>> image, box = read_image(content, "chest.jpg", 112)
    >>> image.size, box
    ((124, 147), (0, 0, 123.25, 146.5))
    """
    if not isinstance(
        image, str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray
    ):
        raise TypeError(f"{name}: give a path, bytes, a PIL image or a uint8 array.")
    if isinstance(image, np.ndarray):
        return _upright(_from_array(image, name))
    try:
        if isinstance(image, Image.Image):
            return _upright(image)
        content = _content(image) if isinstance(image, str | os.PathLike) else bytes(image)
        if content[128:132] == b"DICM":
            return _upright(Image.fromarray(read_dicom(content, _check_size)))
        return _from_jpeg(content, side) or _from_file(content, side)
    except Exception as error:  # damaged files raise almost anything in a decoder
        if getattr(error, "errno", None) not in (None, *ABSENT):
            raise  # a disk or a permission: the file may be whole
        raise ValueError(
            f"{name}: cannot be read as an image ({str(error) or type(error).__name__}). "
            "Replace the file by a whole one or take it out."
        ) from error


def _content(path):
    with open(path, "rb", buffering=0) as file:  # whole at once: a buffer costs threads their time
        return file.read()


def _from_array(array, name):
    if (
        array.dtype != np.uint8
        or array.shape[2:] not in ((), (3,))
        or array.ndim == 1
        or not array.size
        or array.shape[0] * array.shape[1] > MAX_PIXELS
    ):
        raise ValueError(
            f"{name}: {array.dtype} array of shape {array.shape}; "
            f"needed is uint8 of shape (h, w) or (h, w, 3), at most {MAX_PIXELS:,} pixels."
        )
    return Image.fromarray(array)


def _from_jpeg(content, side):
    """Decode a JPEG file to gray and tell of every damage; None for all that only Pillow knows."""
    try:
        height, width, colorspace, _ = decode_jpeg_header(content)
    except ValueError:  # no JPEG, or an unusual sampling of the colors
        return None
    if colorspace in ("CMYK", "YCCK"):  # not turned to gray
        return None
    _check_size(height * width)

    # Halved sides only, as in Pillow: left to itself, the decoder would also take 3/8, 5/8 and 7/8.
    factor = next((n for n in (8, 4, 2) if min(height, width) >= n * side), 1)
    box = (0, 0, width / factor, height / factor)
    image = Image.fromarray(
        decode_jpeg(
            content, "GRAY", min_width=math.ceil(box[2]), min_height=math.ceil(box[3])
        ).squeeze(axis=2)
    )
    if (exif := content.find(b"Exif\0\0", 0, content.find(JPEG_SCAN))) < 0:
        return image, box
    length = int.from_bytes(content[exif - 2 : exif])  # of the segment, with these two bytes
    image.info["exif"] = content[exif : exif - 2 + length]
    return _upright(image, box)


def _from_file(content, side):
    if not content:
        raise ValueError("the file is empty")
    try:
        opened = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError("no image of a known format") from None
    with opened:
        _check_size(opened.width * opened.height)
        # A decoder takes a JPEG or PNG for whole if just its last bytes are missing.
        end, start = MARKS.get(opened.format, (b"", b""))
        if end not in content[-8:] and content.rfind(end) < content.rfind(start):
            raise ValueError("the file is cut off")
        _, box = opened.draft("L", (side, side)) or (None, None)
        return _upright(opened, box)


def _check_size(pixels):
    if pixels > MAX_PIXELS:
        raise ValueError(f"{pixels:,} pixels are more than a radiograph has")


def _upright(image, box=None):
    """Turn an image of any mode upright and into L or RGB, true to its range and transparency."""
    _check_size(image.width * image.height)
    image.load()
    box = box or (0, 0, *image.size)

    # What a reduced image has too much lies at the right and below, until it is turned.
    orientation = 1
    with suppress(Exception):  # damaged EXIF is of no use: the pixels are whole all the same
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
        width, height = box[2:] if orientation < 5 else box[:1:-1]
        left = image.width - width if orientation in (2, 3, 6, 7) else 0
        top = image.height - height if orientation in (3, 4, 7, 8) else 0
        box = (left, top, left + width, top + height)

    # 16-bit and float gray from its whole range, where Pillow's own convert would clip at 255.
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float32)
        if not np.isfinite(values).all():
            raise ValueError("some pixels are not numbers")
        largest = values.max()
        # On a scale to 1 a resized image may overshoot: that is refused, not taken for 255.
        white = 65535 if image.mode.startswith("I") else (255 if largest >= 2 else 1)
        if white == 65535 and 0 < largest < 4096:
            bits = 8 if largest < 256 else 12
            raise ValueError(
                f"{bits}-bit values in 16 bits would be black: scale them to 65535 first"
            )
        if white == 255 and largest < 16:
            raise ValueError(
                f"values up to {largest:g} would be black: scale them to 255 or 1 first"
            )
        if largest > white:
            raise ValueError(f"values above {white} would be white: scale them to {white} first")
        shown = values.clip(0) / np.float32(white)
        image = Image.fromarray((shown * 255 + 0.5).astype(np.uint8))
    elif image.has_transparency_data:
        black = Image.new("RGBA", image.size, "black")
        image = Image.alpha_composite(black, image.convert("RGBA")).convert("RGB")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, box
