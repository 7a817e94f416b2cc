"""The first frame of a DICOM file as a display shows it (DICOM PS3.3 C.7.6.3, C.11.1, C.11.2)."""

import io

import numpy as np

#: What tells which values are shown; without any, the whole range of the bits is.
SCALES = ("WindowWidth", "ModalityLUTSequence", "VOILUTSequence")


def read_dicom(content, check_size):
    """Return the first frame of a DICOM file, its window applied and bone in white.

    Transfer syntaxes that are decoded by NumPy and Pillow alone, each tried: uncompressed (implicit
    and explicit little endian, explicit big endian), RLE Lossless, JPEG Baseline, JPEG 2000 and
    JPEG 2000 Lossless. Those that are not: JPEG Extended of 12 bits, JPEG Lossless, JPEG-LS and
    High-Throughput JPEG 2000, for which pydicom names the package to install. Deflated files are
    refused, since they may unpack to any size.

    Parameters
    ----------
    content : bytes
    check_size : callable
        ``check_size(n)`` raises ValueError if n values are too many; called before decoding.

    Returns
    -------
    ndarray
        Gray: (h, w) float32 in [0, 1]. Color: (h, w, 3) uint8.

    Raises
    ------
    ValueError
        pydicom is not installed, or the file is deflated. For files that are damaged or have no
        image, pydicom raises errors of many types.

    Examples
    --------
    >>> from pathlib import Path
    >>> from pydicom.data import get_testdata_file
    >>> content = Path(get_testdata_file("MR_small.dcm")).read_bytes()
    >>> read_dicom(content, check_size=print).shape
    4096
    (64, 64)
    """
    try:
        from pydicom import dcmread, pixels
    except ImportError:
        raise ValueError("DICOM needs pydicom: pip install pydicom") from None
    if b"1.2.840.10008.1.2.1.99" in content[:2000]:  # a transfer syntax that unpacks to any size
        raise ValueError("deflated DICOM files are not read: store it uncompressed")
    dataset = dcmread(io.BytesIO(content))
    check_size(
        dataset.get("Rows", 0) * dataset.get("Columns", 0) * dataset.get("SamplesPerPixel", 1)
    )
    values = pixels.pixel_array(dataset, index=0)
    bits = dataset.BitsStored

    # Color: the upper eight bits; a palette has as many as its type.
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = pixels.apply_color_lut(values, dataset)
        return (values >> 8 * (values.itemsize - 1)).astype(np.uint8)
    if values.ndim == 3:
        return (values >> max(bits - 8, 0)).astype(np.uint8)

    unscaled = bits == 16 and not any(dataset.get(name) for name in SCALES)
    if unscaled and not dataset.PixelRepresentation and 0 < values.max() < 4096:
        raise ValueError("12-bit values in 16 bits would be black: store BitsStored 12 or a window")

    # Gray: the stored values and the ends of their range become the modality's.
    ends = np.array([0, 2**bits - 1]) - dataset.PixelRepresentation * 2 ** (bits - 1)
    values, ends = (pixels.apply_modality_lut(some, dataset) for some in (values, ends))

    # The modality's values become the display's: by a table, by a window, or over the whole range.
    for table in ("ModalityLUTSequence", "VOILUTSequence"):
        if dataset.get(table):
            ends = [0, 2 ** dataset[table][0].LUTDescriptor[2] - 1]
    low, high = sorted(ends) if dataset.get("WindowWidth") is None else ends
    levels = (
        (pixels.apply_voi_lut(values, dataset).astype(np.float32) - np.float32(low))
        / np.float32(high - low)
    ).clip(0, 1)
    return 1 - levels if dataset.PhotometricInterpretation == "MONOCHROME1" else levels
