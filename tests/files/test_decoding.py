"""Image files of every format, size and orientation to arrays, or to errors that name them."""

import errno
import io
import re
import struct
import subprocess
import sys
import zlib
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps
from simplejpeg import encode_jpeg

from xraylib import phantoms
from xraylib.files import decoding
from xraylib.files.decoding import read_image
from xraylib.preprocessing import preprocess_image

RADIOGRAPH = Image.fromarray(phantoms.draw_phantom(3).image)


def encoded(image, form="JPEG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def reference(image, size=28):
    return np.asarray(image.resize((size, size)).convert("L")) / 255


def difference(content, size=28):
    """The mean and the largest difference from the reference steps, in gray levels."""
    with Image.open(io.BytesIO(content)) as image:
        expected = reference(ImageOps.exif_transpose(image), size)
    levels = 255 * np.abs(preprocess_image(content, size)[..., 0] - expected)
    return levels.mean(), levels.max()


TINTS = [(255, 235, 205), (205, 225, 255), (235, 255, 220)]  # as photographed films are


def jpeg(width, height, tint, sampling, quality):
    """The bytes of a JPEG of a phantom; a `tint` of None: gray, of "saturated": colors."""
    gray = np.asarray(RADIOGRAPH.resize((width, height)))
    if tint is None:
        return encode_jpeg(gray[:, :, None], quality, "GRAY", "Gray")
    if tint == "saturated":
        color = np.stack([gray, 255 - gray, np.roll(gray, width // 3, axis=1)], axis=-1)
    else:
        color = (gray[:, :, None] * (np.array(tint) / 255)).astype(np.uint8)
    return encode_jpeg(color, quality, "RGB", sampling)


any_jpeg = {
    "width": st.integers(30, 700),
    "height": st.integers(30, 700),
    "sampling": st.sampled_from(["444", "422", "420", "440", "411"]),
    "quality": st.integers(50, 97),
}


@settings(max_examples=50, deadline=None)
@given(tint=st.sampled_from([None, (255, 255, 255)]), size=st.sampled_from([28, 64]), **any_jpeg)
def test_a_gray_jpeg_of_any_size_is_close_to_the_reference_steps(size, **file):
    mean, largest = difference(jpeg(**file), size)
    assert mean <= 0.25
    assert largest <= 4


@settings(max_examples=50, deadline=None)
@given(tint=st.sampled_from(TINTS), size=st.sampled_from([28, 64]), **any_jpeg)
def test_a_tinted_jpeg_of_any_size_is_close_to_the_reference_steps(size, **file):
    mean, largest = difference(jpeg(**file), size)
    assert mean <= 0.3  # each of three channels was rounded
    assert largest <= 4


@settings(max_examples=15, deadline=None)
@given(**any_jpeg)
def test_saturated_colors_are_within_half_a_gray_level(**file):
    assert difference(jpeg(tint="saturated", **file))[0] <= 0.5


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])  # CMYK is decoded by Pillow alone
@pytest.mark.parametrize("size", [(1172, 986), (1013, 997), (457, 1759)])
def test_a_side_that_cannot_be_halved_is_not_stretched(mode, size):
    mean, largest = difference(encoded(RADIOGRAPH.resize(size).convert(mode), quality=90))
    assert mean <= 0.25
    assert largest <= 4


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_turns_what_the_reduced_image_shows(mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = RADIOGRAPH.resize((457, 1013)).convert(mode)
    mean, largest = difference(encoded(image, quality=90, exif=exif))
    assert mean <= 0.25
    assert largest <= 4


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_exif_orientation_is_applied_in_every_format_that_has_one(form):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = RADIOGRAPH.resize((200, 120)).convert("RGB")
    mean, _ = difference(encoded(image, form, exif=exif))
    assert mean <= 0.5


@pytest.mark.parametrize(("side", "factor"), [(1, 8), (125, 8), (126, 4), (251, 2), (501, 1)])
def test_only_halved_sides_are_asked_for(side, factor):
    image, box = read_image(encoded(Image.new("L", (1001, 1003))), "chest.jpg", side)
    assert image.size == (-(-1001 // factor), -(-1003 // factor))
    assert box == (0, 0, 1001 / factor, 1003 / factor)


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


@pytest.mark.parametrize("exif", [b"", b"MM", b"II*\0\xff\xff\xff\x7f", b"no TIFF at all"])
def test_damaged_exif_does_not_damage_a_jpeg(exif):
    whole = encoded(RADIOGRAPH)
    segment = b"\xff\xe1" + (len(exif) + 8).to_bytes(2) + b"Exif\0\0" + exif
    assert np.array_equal(
        preprocess_image(whole[:2] + segment + whole[2:]), preprocess_image(whole)
    )


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_damaged_exif_does_not_damage_other_formats(form):
    damaged = encoded(RADIOGRAPH, form, exif=b"Exif\0\0no TIFF at all")
    assert np.array_equal(preprocess_image(damaged), preprocess_image(encoded(RADIOGRAPH, form)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="links need permission elsewhere")
@pytest.mark.parametrize("target", ["loop.jpg", "file.txt/inside.jpg"])
def test_a_path_that_leads_nowhere_is_named(tmp_path, target):
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match="loop.jpg: cannot be read"):
        read_image(tmp_path / "loop.jpg", "loop.jpg", 28)


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EMFILE])
def test_a_disk_or_a_permission_is_no_damaged_file(tmp_path, monkeypatch, code):
    monkeypatch.setattr(decoding, "_content", Mock(side_effect=OSError(code, "x", "scan.jpg")))
    (tmp_path / "scan.jpg").write_bytes(encoded(RADIOGRAPH))
    with pytest.raises(OSError, match="scan.jpg"):
        preprocess_image(tmp_path / "scan.jpg")


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "scan.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="scan.jpg: cannot be read as an image .* Replace"):
        preprocess_image(path)


@pytest.mark.parametrize(
    "options", [{"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "PNG"}]
)
def test_a_file_that_is_cut_off_is_named(tmp_path, options):
    file = io.BytesIO()
    RADIOGRAPH.resize((150, 150)).save(file, **options)
    whole, path = file.getvalue(), tmp_path / "scan.jpg"
    assert preprocess_image(whole).shape == (28, 28, 1)
    least = (
        6 if options["format"] == "PNG" else 0
    )  # of a PNG, the last chunk but its name may be missing
    for length in [
        *range(0, len(whole), len(whole) // 97),
        *range(len(whole) - 40, len(whole) - least),
    ]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="scan.jpg"):
            preprocess_image(path)


def test_a_jpeg_with_a_part_missing_inside_is_named(tmp_path):
    path = tmp_path / "scan.jpg"
    whole = encoded(RADIOGRAPH)
    path.write_bytes(
        whole[: len(whole) // 2] + whole[len(whole) // 2 + 500 :]
    )  # most decoders fill it with gray
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
def test_every_format_and_mode_gives_the_same_image(form, modes):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    expected = reference(Image.fromarray(ramp))
    for mode in modes:
        if mode == "I;16":
            image = Image.fromarray(ramp.astype(np.uint16) * 257)
        elif mode == "1":
            image = Image.fromarray(ramp).convert("1", dither=Image.Dither.NONE)
        else:
            image = Image.fromarray(ramp).convert(mode)
        wanted = reference(image.convert("L")) if mode == "1" else expected
        got = preprocess_image(
            encoded(image, form, **({"lossless": True} if form == "WEBP" else {}))
        )[..., 0]
        assert np.abs(got - wanted).mean() < 0.02, mode


@pytest.mark.parametrize(("mode", "color"), [("L", 204), ("RGB", (204, 204, 204)), ("P", 204)])
def test_a_transparent_color_is_laid_over_black(mode, color):
    image = Image.new(mode, (9, 9), color)
    assert preprocess_image(encoded(image, "PNG", transparency=color)).max() == 0


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("L", (9, 9), level) for level in (51, 255)]
    assert np.allclose(
        preprocess_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])), 0.2
    )


def test_pixels_that_are_no_numbers_are_named(tmp_path):
    values = np.full((9, 9), 0.5, np.float32)
    values[4, 4] = np.nan
    Image.fromarray(values).save(tmp_path / "scan.tiff")
    with pytest.raises(ValueError, match="scan.tiff: .* not numbers"):
        preprocess_image(tmp_path / "scan.tiff")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_decompression_bomb_is_refused_before_memory_is_taken(tmp_path):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = (
        chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    code = """if True:
        import resource, sys
        from xraylib.preprocessing import preprocess_image
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 500 * 2**20, resource.RLIM_INFINITY))
        preprocess_image(sys.argv[1])
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, tmp_path / "bomb.png"],
        capture_output=True,
        text=True,
    )
    assert re.search(
        r"ValueError: .*bomb.png: cannot be read .*(pixels are more|exceeds limit)", done.stderr
    )


images_in_memory = st.one_of(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 70))),
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 3, 4]))
    ),
    arrays.arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 40))),
    arrays.arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 40))),
)


@settings(max_examples=150, deadline=None)
@example(np.float32([[-1e37]]), 1)  # times 255 it is beyond float32
@given(images_in_memory, st.integers(1, 64))
def test_any_image_is_an_array_or_an_error(image, size):
    would_be_black = image.dtype == np.uint16 and 0 < image.max() < 4096
    would_be_white = image.dtype == np.float32 and (image.max() > 255 or 1 < image.max() < 16)
    refused = would_be_black or would_be_white or not np.isfinite(image).all()
    try:
        result = preprocess_image(Image.fromarray(image), size)
    except ValueError as error:
        assert refused, error
    else:
        assert not refused
        assert (result.shape, result.dtype) == ((size, size, 1), np.float32)
        assert 0 <= result.min() <= result.max() <= 1


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=400),
    st.sampled_from(["JPEG", "PNG", "TIFF", "GIF", "WEBP", "BMP"]),
    st.data(),
)
def test_any_bytes_are_an_array_or_an_error(junk, form, data):
    whole = encoded(Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6)), form)
    place = data.draw(st.integers(0, len(whole)))
    try:
        result = preprocess_image(whole[:place] + junk + whole[place + len(junk) // 2 :])
    except ValueError:
        return
    assert (result.shape, result.dtype) == ((28, 28, 1), np.float32)
    assert 0 <= result.min() <= result.max() <= 1


@pytest.mark.parametrize(("bits", "largest"), [(8, 240), (8, 255), (12, 256), (12, 4095)])
def test_8_or_12_bits_in_16_are_refused_and_not_black(bits, largest):
    values = np.linspace(0, largest, 81).astype(np.uint16).reshape(9, 9)
    with pytest.raises(ValueError, match=f"{bits}-bit values in 16 bits .* scale them to 65535"):
        preprocess_image(encoded(Image.fromarray(values), "PNG"))


@pytest.mark.parametrize(
    ("kind", "white", "largest"),
    [(np.float32, 1, 1.001), (np.float32, 255, 510), (np.int32, 65535, 131070)],
)
def test_values_above_white_are_refused_and_neither_white_nor_black(kind, white, largest):
    values = np.linspace(0, largest, 81).astype(kind).reshape(9, 9)
    with pytest.raises(ValueError, match=f"values above {white} would be white: scale them to"):
        preprocess_image(encoded(Image.fromarray(values), "TIFF"))


def test_a_black_16_bit_file_is_black():
    assert not preprocess_image(encoded(Image.new("I;16", (9, 9)), "PNG")).any()


def test_an_array_of_another_type_is_no_file():
    with pytest.raises(ValueError, match=r"ndarray: float64 array .* needed is uint8[^.]*\.$"):
        preprocess_image(np.zeros((9, 9)))
