"""JPEGs of every size up to 3000×3000 beside the reference steps. Part of `make torture`."""

import io

import numpy as np
import pytest
from PIL import Image
from simplejpeg import encode_jpeg

from xraylib import phantoms
from xraylib.preprocessing import preprocess_image

IMAGES = 200  # of each color
TINTS = [(255, 235, 205), (205, 225, 255), (235, 255, 220)]
SAMPLINGS = ["444", "422", "420", "440", "411"]
COLORS = {  # what becomes of a gray image: (h, w) uint8 to (h, w, 1) or (h, w, 3)
    "gray": lambda gray, rng: gray[:, :, None],
    "R=G=B": lambda gray, rng: np.stack([gray] * 3, axis=-1),
    "tinted": lambda gray, rng: gray[:, :, None] * (np.array(rng.choice(TINTS)) / 255),
    "saturated": lambda gray, rng: np.stack([gray, 255 - gray, gray[:, ::-1]], axis=-1),
}


@pytest.mark.parametrize(
    ("color", "mean", "largest"),
    [("gray", 0.25, 4), ("R=G=B", 0.25, 4), ("tinted", 0.3, 4), ("saturated", 0.5, 255)],
)
def test_sizes(color, mean, largest, capsys):
    rng = np.random.default_rng(0)
    drawn = [Image.fromarray(phantoms.draw_phantom(patient).image) for patient in range(6)]
    found = []
    for number in range(IMAGES):
        width, height = np.exp(rng.uniform(np.log(30), np.log(3000), 2)).astype(int)
        gray = np.asarray(drawn[number % 6].resize((width, height)))
        pixels = np.ascontiguousarray(COLORS[color](gray, rng), np.uint8)
        kind = ("GRAY", "Gray") if color == "gray" else ("RGB", SAMPLINGS[number % 5])
        content = encode_jpeg(pixels, int(rng.integers(50, 98)), *kind)

        size = (28, 64)[number % 2]
        expected = np.asarray(Image.open(io.BytesIO(content)).resize((size, size)).convert("L"))
        difference = np.abs(255 * preprocess_image(content, size)[..., 0] - expected)
        found.append((difference.mean(), difference.max()))
        assert difference.mean() <= mean, (width, height, kind, size)
        assert difference.max() <= largest, (width, height, kind, size)
    with capsys.disabled():
        means, maxima = np.transpose(found)
        print(f"\n{color}: mean difference {means.mean():.2f}, in one image at most", end=" ")
        print(f"{means.max():.2f} gray levels; a pixel at most {maxima.max():.0f}")
