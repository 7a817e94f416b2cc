"""Build the page where one plays with the reference network: ``python docs/play/build.py OUT``.

The network is that of the lessons, trained on phantoms (a minute, once; then it is cached), so no
patient's data is in its weights. OUT becomes a folder of static files that opens in a browser, from
a server or from the disk. Weights and pictures stand as base64 text in scripts: a page that was
opened from the disk may load scripts, but neither fetch a file nor read the pixels of one.
"""

import argparse
import base64
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
from datasets import Image as ImageFeature
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image

from xraylib.cached import load_arrays, load_trained
from xraylib.data import load_splits
from xraylib.files.decoding import encoded
from xraylib.model import predict_proba, train_model
from xraylib.phantoms import DISEASES, draw_disease, draw_phantom
from xraylib.phantoms.body import MU, draw_child, draw_position, healthy_body
from xraylib.phantoms.fields import random_stream

HERE = Path(__file__).parent
FILES = ("index.html", "style.css", "network.js", "picture.js", "page.js")
HOME = '<p><a href="../index.html">The whole series</a></p>'
SHOWN = ("normal", *DISEASES)  # a phantom of each
CHEST = 1000  # the patient to whom the page adds opacities, not among those of the splits


def base64_of(content):
    """Return bytes as base64 text."""
    return base64.b64encode(content).decode()


def data_url(image, kind, **options):
    """Return an image as a data URL of the kind PNG or JPEG."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64_of(file.getvalue())}"


def weights_of(model):
    """Return the network's weights: kernel and bias of each layer, float32, in Keras's order."""
    weights = model.get_weights()
    content = b"".join(part.astype("<f4").tobytes() for part in weights)
    return {"shapes": [part.shape for part in weights], "base64": base64_of(content)}


def phantoms_to_pick(split, p):
    """List a test phantom of each disease, and the one about which the network errs most.

    Parameters
    ----------
    split : datasets.Dataset
    p : (n,) float
        The network's probabilities of PNEUMONIA.

    Returns
    -------
    list of dict
        Each with its JPEG and the mask of its lungs as data URLs, its disease and file name.
    """
    rows = list(split.cast_column("image", ImageFeature(decode=False)))
    drawn = [tuple(map(int, re.findall(r"\d+", row["file_name"]))) for row in rows]
    diseases = [draw_disease(*pair) for pair in drawn]
    error = int(np.argmax(np.abs(p - np.array(split["label"]))))
    diseases[error] = "taken"
    picks = []
    for i in [*map(diseases.index, SHOWN), error]:
        content = encoded(rows[i]["image"])
        content = content if isinstance(content, bytes) else Path(content).read_bytes()
        phantom = draw_phantom(*drawn[i])
        picks.append(
            {
                "url": f"data:image/jpeg;base64,{base64_of(content)}",
                "lungs": data_url(Image.fromarray(phantom.lungs), "PNG"),
                "disease": phantom.disease,
                "file": phantom.file_name,
            }
        )
    return picks


def chest_to_draw(patient=CHEST):
    """Return a healthy chest before the detector, for the page to add an opacity and photons.

    Returns
    -------
    dict
        Maps of 320×320 pixels, in base64: ``attenuation`` in thousandths (uint16) and ``lungPath``
        in tenths of a cm (uint8); the field in cm; what of the display is black and white.
    """
    body = draw_child(random_stream(0, patient, 0))
    rng = random_stream(0, patient, 1, 0)
    position = draw_position(rng, body)
    lung, trunk, _, healthy = healthy_body(rng, body, position)
    least, greatest = np.percentile(healthy[trunk > 5], [2, 98]).tolist()
    low = least * position.black
    return {
        "side": len(healthy),
        "attenuation": base64_of((healthy * 1000 + 0.5).clip(0, 65535).astype("<u2").tobytes()),
        "lungPath": base64_of((lung * 10 + 0.5).clip(0, 255).astype(np.uint8).tobytes()),
        "width": position.view.width,
        "height": position.view.height,
        "low": low,
        "high": low + (greatest - low) * position.white,
        "dark": position.dark,
        "gain": position.gain,
        "muWater": MU["water"],
        "muLung": MU["lung"],
    }


def draw_cat(side=320):
    """Draw the face of a cat, which is no radiograph."""
    image = Image.new("RGB", (side, side), "#8fa7b3")
    draw = ImageDraw.Draw(image)
    s = side / 100
    for x in (22, 78):  # ears
        draw.polygon([(x * s, 12 * s), ((x - 8) * s, 55 * s), ((x + 22) * s, 45 * s)], "#c98a4b")
        draw.polygon([(x * s, 12 * s), ((x + 8) * s, 55 * s), ((x - 22) * s, 45 * s)], "#c98a4b")
    draw.ellipse([16 * s, 28 * s, 84 * s, 90 * s], "#c98a4b")  # head
    for x in (37, 63):  # eyes, cheeks with whiskers
        draw.ellipse([(x - 8) * s, 46 * s, (x + 8) * s, 60 * s], "#e9e6a0")
        draw.ellipse([(x - 2) * s, 46 * s, (x + 2) * s, 60 * s], "#111111")
        for y in (66, 72, 78):
            draw.line([x * s, 70 * s, (50 + 3.2 * (x - 50)) * s, y * s], "#ffffff", 2)
    draw.polygon([(46 * s, 64 * s), (54 * s, 64 * s), (50 * s, 69 * s)], "#5b3030")  # nose
    draw.arc([41 * s, 64 * s, 50 * s, 76 * s], 10, 150, "#5b3030", 3)
    draw.arc([50 * s, 64 * s, 59 * s, 76 * s], 30, 170, "#5b3030", 3)
    return image


def build(out):
    """Write the page into a folder.

    Parameters
    ----------
    out : Path
        Is made; files of the page that stand there are replaced.
    """
    # The network of the lessons, from their cache, and what it says of the test phantoms.
    splits = load_splits("phantom")
    *arrays, X_test, y_test = load_arrays(splits)
    model, _ = load_trained(train_model, *arrays)
    p = predict_proba(model, X_test)
    temple = Image.fromarray(load_sample_image("china.jpg"))
    data = {
        "phantoms": phantoms_to_pick(splits["test"], p),
        "chest": chest_to_draw(),
        "cat": data_url(draw_cat(), "PNG"),
        "temple": data_url(temple.resize((480, 320)), "JPEG", quality=80),
        "test": {"y": y_test.tolist(), "p": p.astype(float).round(6).tolist()},
        "trained": len(arrays[1]),
    }

    # The files that are written by hand, then what belongs to this network and these phantoms.
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(HERE / name, out / name)
    page = out / "index.html"
    if not (out.parent / "index.html").exists():  # no site around it
        page.write_text(page.read_text("utf-8").replace(HOME, ""), "utf-8")
    for name, value in (("weights", weights_of(model)), ("data", data)):
        (out / f"{name}.js").write_text(f"const {name.upper()} = {json.dumps(value)};\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the page")
    build(parser.parse_args().out)
