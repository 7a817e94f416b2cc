"""DICOM files: those that the tests write, and those that come with pydicom."""

import io
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from xraylib.preprocessing import preprocess_image

SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"


def dicom(values, bits, syntax=ExplicitVRLittleEndian, **tags):
    """The bytes of a DICOM file of gray `values` with so many `bits` stored."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = syntax, SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *values.shape, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (
        values.dtype.itemsize * 8,
        bits,
        bits - 1,
    )
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes()
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


RAMP = np.tile(np.arange(0, 4096, 64, dtype=np.uint16), (64, 1))
EXPECTED = preprocess_image(np.round(RAMP / 4095 * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("values", "bits", "tags", "expected"),
    [
        (RAMP, 12, {}, EXPECTED),
        ((RAMP // 16).astype(np.uint8), 8, {}, EXPECTED),
        (RAMP * 16, 16, {}, EXPECTED),
        ((RAMP.astype(np.int16) - 2048), 12, {}, EXPECTED),
        (RAMP, 12, {"PhotometricInterpretation": "MONOCHROME1"}, 1 - EXPECTED),
        (RAMP, 12, {"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "US"}, EXPECTED),
        (RAMP, 12, {"WindowCenter": 2048, "WindowWidth": 4096}, EXPECTED),
        (RAMP // 2 + 1024, 12, {"WindowCenter": 2048, "WindowWidth": 2048}, EXPECTED),
        (
            RAMP // 4,
            12,
            {"RescaleSlope": 2, "RescaleIntercept": 100, "WindowCenter": 1124, "WindowWidth": 2048},
            EXPECTED,
        ),
        (RAMP // 2, 12, {"WindowCenter": [1024, 50], "WindowWidth": [2048, 10]}, EXPECTED),
    ],
)
def test_gray_is_scaled_as_the_file_says(values, bits, tags, expected):
    assert np.abs(preprocess_image(dicom(values, bits, **tags)) - expected).mean() < 0.01


def test_a_lookup_table_is_applied():
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [4096, 0, 16], list(range(65535, -1, -16))
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    result = preprocess_image(dicom(RAMP, 12, VOILUTSequence=pydicom.Sequence([item])))
    assert np.abs(result - (1 - EXPECTED)).mean() < 0.01


@pytest.mark.parametrize(
    "name",
    [
        *[
            "CT_small.dcm",
            "MR_small.dcm",
            "MR_small_RLE.dcm",
            "MR_small_bigendian.dcm",
            "ExplVR_BigEnd.dcm",
        ],
        *[
            "SC_rgb_rle.dcm",
            "SC_rgb_rle_2frame.dcm",
            "SC_ybr_full_422_uncompressed.dcm",
            "examples_palette.dcm",
        ],
        *["liver_1frame.dcm", "SC_rgb_small_odd.dcm"],
    ],
)
def test_files_that_come_with_pydicom(name):
    path = SHIPPED / name
    if not path.exists():
        pytest.fail(f"pydicom no longer ships {name}: choose another file")
    result = preprocess_image(path)
    assert (result.shape, result.dtype) == ((28, 28, 1), np.float32)
    assert 0 <= result.min() < result.max() <= 1


def test_the_same_image_in_three_encodings():
    plain, run_length, big = (
        preprocess_image(SHIPPED / f"MR_small{kind}.dcm") for kind in ("", "_RLE", "_bigendian")
    )
    assert np.array_equal(plain, run_length)
    assert np.array_equal(plain, big)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
        "JPEG2000.dcm",
        "MR_small_jp2klossless.dcm",
    ],
)
def test_jpeg_baseline_and_jpeg_2000_are_decoded(name):
    result = preprocess_image(SHIPPED / name)
    assert 0 <= result.min() < result.max() <= 1


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("JPEG-lossy.dcm", "JPEG Extended"),
        ("SC_rgb_jpeg_gdcm.dcm", "JPEG Lossless"),
        ("MR_small_jpeg_ls_lossless.dcm", "JPEG-LS"),
    ],
)
def test_other_compressed_files_are_named_with_what_they_need(name, syntax):
    with pytest.raises(ValueError, match=rf"(?s){name}: cannot be read.*(pylibjpeg|{syntax})"):
        preprocess_image(SHIPPED / name)


@pytest.mark.parametrize("name", ["rtplan.dcm", "MR_truncated.dcm", "waveform_ecg.dcm"])
def test_files_without_a_whole_image_are_named(name):
    with pytest.raises(ValueError, match=f"{name}: cannot be read"):
        preprocess_image(SHIPPED / name)


def test_what_would_unpack_to_any_size_is_refused():
    with pytest.raises(ValueError, match="deflated"):
        preprocess_image(dicom(RAMP, 12, DeflatedExplicitVRLittleEndian))
    large = (
        dicom(RAMP, 12)
        .replace(b"\x28\x00\x10\x00US\x02\x00\x40\x00", b"\x28\x00\x10\x00US\x02\x00\xff\xff")
        .replace(b"\x28\x00\x11\x00US\x02\x00\x40\x00", b"\x28\x00\x11\x00US\x02\x00\xff\xff")
    )
    with pytest.raises(ValueError, match="4,294,836,225 pixels are more than a radiograph has"):
        preprocess_image(large)


def test_without_pydicom_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    (tmp_path / "chest.dcm").write_bytes(dicom(RAMP, 12))
    with pytest.raises(ValueError, match=r"chest.dcm: .* pip install pydicom"):
        preprocess_image(tmp_path / "chest.dcm")


def test_12_bit_values_that_are_stored_as_16_are_refused():
    with pytest.raises(ValueError, match="12-bit values in 16 bits would be black"):
        preprocess_image(dicom(RAMP, 16))
    shown = preprocess_image(dicom(RAMP, 16, WindowCenter=2048, WindowWidth=4096))
    assert np.abs(shown - EXPECTED).mean() < 0.01
