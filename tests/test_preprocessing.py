"""One image to one array, and a split to arrays."""

import io
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from datasets import Dataset, IterableDataset
from datasets.distributed import split_dataset_by_node
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from xraylib import data, phantom
from xraylib.preprocessing import preprocess_batches, preprocess_image, preprocess_split


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


@pytest.mark.parametrize("options", [{"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}])
def test_a_file_that_is_cut_off_is_named(radiograph, tmp_path, options):
    file = io.BytesIO()
    radiograph.resize((150, 150)).save(file, **options)
    whole, path = file.getvalue(), tmp_path / "scan.jpg"
    assert preprocess_image(whole).shape == (28, 28, 1)
    least = 6 if options["format"] == "PNG" else 0  # of a PNG, the last chunk but its name may be missing
    for length in [*range(0, len(whole), len(whole) // 97), *range(len(whole) - 40, len(whole) - least)]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="scan.jpg"):
            preprocess_image(path)


def test_a_jpeg_with_a_part_missing_inside_is_named(radiograph, tmp_path):
    path = tmp_path / "scan.jpg"
    whole = encoded(radiograph)
    path.write_bytes(whole[: len(whole) // 2] + whole[len(whole) // 2 + 500 :])  # most decoders fill it with gray
    with pytest.raises(ValueError, match="scan.jpg.*Corrupt"):
        preprocess_image(path)


@pytest.mark.parametrize(
    ("form", "modes"),
    {
        "JPEG": ["L", "RGB", "CMYK"],
        "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
        "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"],
        "BMP": ["1", "L", "P", "RGB"],
        "WEBP": ["RGB", "RGBA"],
        "GIF": ["1", "L", "P", "RGB"],
    }.items(),
)
def test_every_format_and_mode_gives_the_same_picture(form, modes):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    expected = described(Image.fromarray(ramp))
    for mode in modes:
        if mode == "I;16":
            image = Image.fromarray(ramp.astype(np.uint16) * 257)
        elif mode == "1":
            image = Image.fromarray(ramp).convert("1", dither=Image.Dither.NONE)
        else:
            image = Image.fromarray(ramp).convert(mode)
        wanted = described(image.convert("L")) if mode == "1" else expected
        got = preprocess_image(encoded(image, form, **({"lossless": True} if form == "WEBP" else {})))[..., 0]
        assert np.abs(got - wanted).mean() < 0.02, mode


@pytest.mark.parametrize(("mode", "colour"), [("L", 204), ("RGB", (204, 204, 204)), ("P", 204)])
def test_a_transparent_colour_is_laid_over_black(mode, colour):
    image = Image.new(mode, (9, 9), colour)
    assert preprocess_image(encoded(image, "PNG", transparency=colour)).max() == 0


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("L", (9, 9), level) for level in (51, 255)]
    assert np.allclose(preprocess_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])), 0.2)


def test_pixels_that_are_no_numbers_are_named(tmp_path):
    values = np.full((9, 9), 0.5, np.float32)
    values[4, 4] = np.nan
    Image.fromarray(values).save(tmp_path / "scan.tiff")
    with pytest.raises(ValueError, match="scan.tiff: .* not numbers"):
        preprocess_image(tmp_path / "scan.tiff")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_decompression_bomb_is_refused_before_memory_is_taken(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    code = """if True:
        import resource, sys
        from xraylib.preprocessing import preprocess_image
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 500 * 2**20, resource.RLIM_INFINITY))
        preprocess_image(sys.argv[1])
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path / "bomb.png"], capture_output=True, text=True
    )
    assert re.search(r"ValueError: .*bomb.png: cannot be read .*(pixels are more|exceeds limit)", done.stderr)


pictures = st.one_of(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70))),
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 3, 4]))),
    arrays.arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40))),
)


@settings(max_examples=150, deadline=None)
@given(pictures, st.integers(1, 64))
def test_any_picture_is_an_array_or_an_error(picture, size):
    try:
        result = preprocess_image(Image.fromarray(picture), size)
    except ValueError as error:
        assert not np.isfinite(picture).all(), error
    else:
        assert (result.shape, result.dtype) == ((size, size, 1), np.float32)
        assert 0 <= result.min() <= result.max() <= 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"]), st.data())
def test_any_bytes_are_an_array_or_an_error(junk, form, data):
    whole = encoded(Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6)), form)
    place = data.draw(st.integers(0, len(whole)))
    try:
        result = preprocess_image(whole[:place] + junk + whole[place + len(junk) // 2 :])
    except ValueError:
        return
    assert (result.shape, result.dtype) == ((28, 28, 1), np.float32)
    assert 0 <= result.min() <= result.max() <= 1


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


class Counted:
    """A source that counts what was taken from it."""

    def __init__(self, split):
        self.split, self.taken = split, 0

    def __call__(self):
        for row in self.split:
            self.taken += 1
            yield row


def test_a_stream_is_read_a_little_ahead(phantoms):
    source = Counted(phantoms["test"].select(range(60)))
    stream = IterableDataset.from_generator(source, features=data.FEATURES)
    given = 0
    for gray, y in preprocess_batches(stream, batch_size=8):
        assert (gray.dtype, y.dtype) == (np.uint8, np.int64)
        given += len(y)
        assert source.taken <= given + 2 * 8
    assert given == source.taken == 60


def test_a_stream_gives_the_arrays_of_its_split_also_in_parts(phantoms):
    split = phantoms["test"].select(range(20))
    X, y = preprocess_split(split)
    stream = split.to_iterable_dataset(num_shards=4)
    whole = preprocess_split(stream)
    assert np.array_equal(whole[0], X)
    assert np.array_equal(whole[1], y)
    parts = [preprocess_split(split_dataset_by_node(stream, rank, 2)) for rank in (0, 1)]
    assert [len(labels) for _, labels in parts] == [10, 10]
    assert sorted(part.tobytes() for images, _ in parts for part in images) == sorted(x.tobytes() for x in X)
