"""Thousands of damaged image files: each gives a whole array or an error that names it.

Part of `make torture`.
"""

import io
import warnings
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from xraylib import phantoms
from xraylib.files import decoding
from xraylib.preprocessing import preprocess_image

FILES = 24_000


def originals():
    image = Image.fromarray(phantoms.draw_phantom(3).image).resize((200, 200))
    ways = [
        *[(mode, {"format": "JPEG"}) for mode in ("L", "RGB", "CMYK")],
        ("RGB", {"format": "JPEG", "progressive": True}),
        *[(mode, {"format": "PNG"}) for mode in ("L", "LA", "P", "RGB", "RGBA")],
        *[
            ("L", {"format": "TIFF", "compression": name})
            for name in (None, "tiff_lzw", "tiff_deflate", "jpeg")
        ],
        *[
            ("L", {"format": "BMP"}),
            ("L", {"format": "GIF"}),
            ("RGB", {"format": "WEBP"}),
            ("L", {"format": "PPM"}),
        ],
    ]
    for mode, options in ways:
        file = io.BytesIO()
        image.convert(mode).save(file, **options)
        yield options["format"], file.getvalue()


def mutated(content, rng):
    """One of six ways to damage a file, mostly beyond its header."""
    content, kind = bytearray(content), rng.integers(6)
    at = int(rng.integers(len(content) // 20, len(content)))
    if kind == 0:  # some bytes change
        for place in rng.integers(at, len(content), 1 + rng.integers(8)):
            content[place] = rng.integers(256)
    elif kind == 1:  # one bit flips
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:  # a part is missing
        del content[at : at + 1 + int(rng.integers(200))]
    elif kind == 3:  # a part comes twice
        content[at:at] = content[at : at + 1 + int(rng.integers(200))]
    elif kind == 4:  # cut off
        del content[at:]
    else:  # zeros, as a disk leaves them
        length = int(rng.integers(1, 400))
        content[at : at + length] = bytes(len(content[at : at + length]))
    return bytes(content)


def test_damaged_files(capsys, monkeypatch):
    reached = []
    came = Counter()
    check_size = decoding._check_size
    monkeypatch.setattr(
        decoding, "_check_size", lambda pixels: reached.append(1) or check_size(pixels)
    )
    rng, files = np.random.default_rng(0), list(originals())
    decoder = 0
    for number in range(FILES):
        form, content = files[number % len(files)]
        reached.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on damaged tags
            try:
                result = preprocess_image(mutated(content, rng))
                came[form, "array"] += 1
                assert (result.shape, result.dtype) == ((28, 28, 1), np.float32)
                assert 0 <= result.min() <= result.max() <= 1
            except ValueError as error:
                came[form, "error"] += 1
                assert str(error).startswith("the given bytes: cannot be read as an image (")
        decoder += bool(reached)
    with capsys.disabled():
        print(f"\n{FILES:,} damaged files, {decoder / FILES:.0%} reached the decoder")
        for form in dict.fromkeys(form for form, _ in files):
            print(f"  {form}: {came[form, 'array']:,} arrays, {came[form, 'error']:,} errors")
    assert decoder > FILES / 2


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_cut_off_at_every_byte(form):
    for content in [content for name, content in originals() if name == form]:
        least = 6 if form == "PNG" else 1
        for length in range(len(content) - least):
            with pytest.raises(ValueError):
                preprocess_image(content[:length])
