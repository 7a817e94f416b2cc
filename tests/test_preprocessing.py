"""One image to one array, and a split to arrays."""

import io

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from xraylib import data, phantom
from xraylib.preprocessing import preprocess_image, preprocess_split


@pytest.fixture(scope="module")
def radiograph():
    return Image.fromarray(phantom.draw_phantom(3).image)


def encoded(image, form="JPEG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def described(image):
    return np.asarray(image.resize((28, 28)).convert("L")) / 255


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_files_come_out_as_described(radiograph, mode, form, tmp_path):
    path = tmp_path / f"scan.{form.lower()}"
    path.write_bytes(encoded(radiograph.convert(mode), form))
    expected = described(Image.open(path))
    for image in (path, str(path), path.read_bytes(), Image.open(path)):
        result = preprocess_image(image)
        assert result.shape == (28, 28, 1)
        assert result.dtype == np.float32
        assert 0 <= result.min() <= result.max() <= 1
        difference = 255 * np.abs(result[..., 0] - expected)
        assert difference.mean() < 0.5
        assert difference.max() <= 4


def test_arrays_and_pil_images_come_out_exactly_as_described(radiograph):
    expected = described(radiograph).astype(np.float32)
    assert np.array_equal(preprocess_image(radiograph)[..., 0], expected)
    assert np.array_equal(preprocess_image(np.asarray(radiograph))[..., 0], expected)
    colour = np.asarray(radiograph.convert("RGB"))
    assert np.array_equal(preprocess_image(colour)[..., 0], described(Image.fromarray(colour)).astype(np.float32))


def test_a_given_picture_is_left_as_it_is():
    image = Image.open(io.BytesIO(encoded(Image.new("RGB", (640, 480)))))
    preprocess_image(image)
    assert image.size == (640, 480)
    assert image.mode == "RGB"


@pytest.mark.parametrize("size", [1, 28, 96])
def test_any_size(radiograph, size):
    assert preprocess_image(radiograph, size).shape == (size, size, 1)


@pytest.mark.parametrize(
    ("image", "gray"),
    [
        (Image.new("1", (5, 7), 1), 1),
        (Image.new("L", (1, 1), 102), 0.4),
        (Image.new("LA", (5, 7), (204, 128)), 0.4),  # half transparent, over black
        (Image.new("RGBA", (5, 7), (204, 204, 204, 128)), 0.4),
        (Image.new("P", (5, 7), 0), 0),
        (Image.new("CMYK", (5, 7), (0, 0, 0, 153)), 0.4),
        (Image.fromarray(np.full((5, 7), 26214, np.uint16)), 0.4),
    ],
)
def test_every_mode_keeps_its_gray(image, gray):
    assert np.allclose(preprocess_image(image), gray, atol=0.006)


def test_an_exif_orientation_is_applied():
    ramp = Image.fromarray(np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = preprocess_image(encoded(ramp, "JPEG", quality=95, exif=exif))
    assert turned[0].mean() < 0.05 < 0.95 < turned[-1].mean()


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "scan.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="scan.jpg: cannot be read as an image .* Replace"):
        preprocess_image(path)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_file_that_is_cut_off_is_named(radiograph, tmp_path, form):
    whole = encoded(radiograph, form)
    path = tmp_path / "scan.jpg"
    for share in (0.05, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="scan.jpg"):
            preprocess_image(path)


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.png: no such file"):
        preprocess_image(tmp_path / "nowhere.png")
    for array in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ValueError, match="the given ndarray: .* needed is uint8"):
            preprocess_image(array)
    with pytest.raises(TypeError, match="give a path"):
        preprocess_image(3)
    with pytest.raises(ValueError, match="size"):
        preprocess_image(np.zeros((4, 4), np.uint8), 0)


def test_a_split_keeps_its_order(phantoms):
    split = phantoms["test"]
    X, y = preprocess_split(split)
    assert X.shape == (len(split), 28, 28, 1)
    assert (X.dtype, y.dtype) == (np.float32, np.int64)
    assert y.tolist() == split["label"]
    for row in (0, 17, len(split) - 1):
        assert np.abs(X[row, ..., 0] - described(split[row]["image"])).mean() < 0.5 / 255


def test_an_unreadable_image_of_a_split_is_named():
    images = [{"bytes": encoded(Image.new("L", (9, 9)), "PNG"), "path": None}, {"bytes": b"no image", "path": None}]
    columns = {"image": images, "label": [0, 1], "file_name": ["good.png", "bad.png"]}
    with pytest.raises(ValueError, match="bad.png: cannot be read"):
        preprocess_split(Dataset.from_dict(columns, features=data.FEATURES))
