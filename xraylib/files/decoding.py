"""The content of an image file to a picture in memory, or an error that names the file: nothing half read passes."""

import io
import os

import numpy as np
from PIL import Image, ImageOps
from simplejpeg import decode_jpeg, decode_jpeg_header

#: What is opened at all; Pillow knows more formats, some of which start other programs.
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM", "JPEG2000")
MAX_PIXELS = 40_000_000  # no radiograph has more
DEFLATED = b"1.2.840.10008.1.2.1.99"  # a DICOM transfer syntax that may unpack to any size
JPEG_START, JPEG_END, JPEG_SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
EXIF = b"Exif\0\0"
ORIENTATION = 0x0112  # the EXIF tag


def encoded(image):
    """The path or the bytes behind an undecoded image of a data set, ``{"path": ..., "bytes": ...}``."""
    return image["path"] if image["bytes"] is None else image["bytes"]


def read_image(image, name, side):
    """A picture as `PIL.Image.Image` of mode L or RGB, upright.

    Parameters
    ----------
    image : str or Path, bytes, PIL.Image.Image, or uint8 array of shape (h, w) or (h, w, 3)
    name : str, what errors call it
    side : int, pixels. A JPEG file comes as L, and may come reduced, to this side or more.

    Raises ValueError that names the file if it is no whole image of a known format and a reasonable size, TypeError for
    another type than the above.
    """
    if not isinstance(image, str | os.PathLike | bytes | bytearray | memoryview | Image.Image | np.ndarray):
        raise TypeError(f"{name}: give a path, bytes, a PIL image or a uint8 array.")
    try:
        if isinstance(image, np.ndarray):
            return _from_array(image)
        if isinstance(image, Image.Image):
            return _upright(image)
        content = _content(image) if isinstance(image, str | os.PathLike) else bytes(image)
        if content[128:132] == b"DICM":
            return _from_dicom(content)
        if content.startswith(JPEG_START) and (picture := _from_jpeg(content, side)):
            return picture
        return _from_file(content, side)
    except Exception as error:  # damaged files raise almost anything in a decoder
        reason = str(error) or type(error).__name__
        message = f"{name}: cannot be read as an image ({reason}). Replace the file by a whole one or take it out."
        raise ValueError(message) from error


def _content(path):
    with open(path, "rb", buffering=0) as file:  # whole at once: a buffer would only copy
        return file.read()


def _from_array(array):
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        shape = f"{array.dtype} array of shape {array.shape}"
        raise ValueError(f"{shape}; needed is uint8 of shape (h, w) or (h, w, 3)")
    return Image.fromarray(array)


def _from_jpeg(content, side):
    """A JPEG file in gray by the decoder that tells of every damage; None for the kinds that only Pillow knows."""
    try:
        height, width, kind, _ = decode_jpeg_header(content)
    except ValueError:  # unusual sampling of the colours
        return None
    if kind in ("CMYK", "YCCK"):  # not turned to gray
        return None
    _check_size(height * width)
    picture = Image.fromarray(decode_jpeg(content, "GRAY", min_height=side, min_width=side)[:, :, 0])
    if EXIF in content[: content.find(JPEG_SCAN)]:
        with Image.open(io.BytesIO(content), formats=("JPEG", "MPO")) as opened:
            picture.info["exif"] = opened.info.get("exif", b"")
        picture = ImageOps.exif_transpose(picture)
    return picture


def _from_file(content, side):
    if not content:
        raise ValueError("the file is empty")
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        _check_size(opened.width * opened.height)
        # A decoder takes a JPEG or PNG for whole if just its last bytes are missing.
        end, start = {"PNG": (b"IEND", b"IDAT"), "JPEG": (JPEG_END, JPEG_SCAN), "MPO": (JPEG_END, JPEG_SCAN)}.get(
            opened.format, (b"", b"")
        )
        if end not in content[-8:] and content.rfind(end) < content.rfind(start):
            raise ValueError("the file is cut off")
        opened.draft("L", (side, side))
        return _upright(opened)


def _check_size(pixels):
    if pixels > MAX_PIXELS:
        raise ValueError(f"{pixels:,} pixels are more than a radiograph has")


def _upright(image):
    """A PIL image of any mode as L or RGB, without losing its range or its transparency's meaning, turned upright."""
    _check_size(image.width * image.height)
    if image.format not in (None, "GIF", "BMP") and image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        image.load()
        return image
    if image.mode.startswith(("I", "F")):  # 16-bit and float gray: PIL's own convert would clip at 255
        values = np.asarray(image, np.float32)
        if not np.isfinite(values).all():
            raise ValueError("some pixels are not numbers")
        top = 65535 if image.mode.startswith("I") else (255 if values.max() > 1 else 1)
        return _from_share(values / np.float32(top))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_share(values):
    """An L picture of float values, 0 = black, 1 = white."""
    return Image.fromarray(np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8))


def _from_dicom(content):
    """The first frame of a DICOM file as a display shows it (DICOM PS3.3 C.11.1 and C.11.2, C.7.6.3)."""
    try:
        from pydicom import dcmread, pixels
    except ImportError:
        raise ValueError('DICOM needs pydicom: pip install ".[dicom]"') from None
    if DEFLATED in content[:2000]:
        raise ValueError("deflated DICOM files are not read: store it uncompressed")
    dataset = dcmread(io.BytesIO(content))
    if "PixelData" not in dataset:
        raise ValueError("a DICOM file without a picture")
    _check_size(dataset.Rows * dataset.Columns * dataset.SamplesPerPixel)
    values = pixels.pixel_array(dataset, index=0)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, dataset)
        return Image.fromarray((values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values)
    if dataset.SamplesPerPixel > 1:
        return Image.fromarray((values >> max(dataset.BitsStored - 8, 0)).astype(np.uint8))
    depth, signed = dataset.BitsStored, dataset.PixelRepresentation
    low, high = (-(2 ** (depth - 1)), 2 ** (depth - 1) - 1) if signed else (0, 2**depth - 1)
    values = pixels.apply_modality_lut(values, dataset)
    if dataset.get("ModalityLUTSequence"):
        low, high = 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    else:
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, high * slope + intercept
    if dataset.get("VOILUTSequence"):
        low, high = 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif dataset.get("WindowWidth") is None:
        low, high = min(low, high), max(low, high)
    share = (pixels.apply_voi_lut(values, dataset).astype(np.float32) - low) / (high - low)
    return _from_share(1 - share if kind == "MONOCHROME1" else share)
