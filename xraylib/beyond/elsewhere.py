"""The measurements behind lessons 12 to 15: ``python -m xraylib.beyond.elsewhere``.

They need images that are not in the repository, in the folder that the environment variable
XRAYLIB_ELSEWHERE names: ``pneumoniamnist.npz`` of MedMNIST v2, and ``nih`` and ``montgomery_tb``,
each a folder with ``NORMAL/`` and ``PNEUMONIA/``; what is refused is asked of scikit-image's
pictures as well (``pip install scikit-image``). No image from there trains a network that answers
for patients. What a network has answered already (``benchmark``, ``nih``, ``controls``) it is not
asked again; ``insertion``, ``framing`` and ``refusal`` are measured anew.
"""

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.datasets import load_sample_images

from xraylib import data
from xraylib.beyond.controls import gray_level_features, make_controls
from xraylib.beyond.insertion import teach_insertion
from xraylib.beyond.quick import train_quick_model
from xraylib.beyond.residual import train_better_model
from xraylib.beyond.robust import ask, build_looking, resize, train_robust_model, unfamiliarity
from xraylib.beyond.study import RESULTS, predict_logistic, write_table
from xraylib.beyond.teaching import draw_teachers
from xraylib.cached import load_arrays, load_trained
from xraylib.model import predict_proba, train_model
from xraylib.phantoms import draw_phantom
from xraylib.preprocessing import preprocess_image
from xraylib.quiet import keras

SIZE = 128  # pixels a side of what the robust network sees of this hospital
# scikit-image's, of anything but chests.
PICTURES = (
    *("astronaut", "brick", "camera", "chelsea", "clock", "coffee", "coins", "grass", "gravel"),
    *("hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket", "text"),
)


def study_benchmark():
    """PneumoniaMNIST's protocol: train on train, choose on val, report on val and test."""
    *arrays, X_test, y_test = load_arrays(data.load_splits(folder() / "pneumoniamnist.npz"))
    asked = np.concatenate([arrays[2], X_test])
    table = pd.DataFrame(
        {
            "split": np.repeat(["validation", "test"], [len(arrays[3]), len(y_test)]),
            "label": np.concatenate([arrays[3], y_test]),
        }
    )
    networks = {
        "robust": train_robust_model,
        "reference": train_model,
        "better": train_better_model,
    }
    for seed in range(5):
        for name, train in networks.items():
            answer = partial(_ask, train, arrays, asked, seed)
            table = _add("benchmark", table, name, seed, answer)


def study_nih(splits):
    """The networks of this hospital, asked about another: ``nih.csv.gz``."""
    table = nih_labels()
    small = nih_images(table, 28)
    large = nih_images(table, SIZE)
    table["opacity"] = opacity_alone(large).round(5)
    arrays = load_arrays(splits)[:4]
    phantoms = load_arrays(data.load_phantoms())[:4]
    for name, train, seeds, chosen, X in (
        ("robust", train_robust_model, 3, load_arrays(splits, SIZE)[:4], large),
        ("reference", train_model, 5, arrays, small),
        ("phantoms", train_quick_model, 5, phantoms, small),
        ("better", train_better_model, 3, arrays, small),
    ):
        for seed in range(seeds):
            table = _add("nih", table, name, seed, partial(_ask, train, chosen, X, seed))


def study_insertion(splits):
    """What the U-Nets tell, before and after inserted opacities: ``insertion.csv.gz``.

    ``opacity``: taught by phantoms alone; ``inserted``: after going on with opacities in this
    hospital's normal images; ``drawn``, the control: with opacities in as many healthy phantoms
    of children.
    """
    arrays = load_arrays(splits, SIZE)[:4]
    nih = nih_labels()
    patients = _patients(splits["validation"])
    own = pd.DataFrame({"set": "validation", "patient": patients, "label": arrays[3]})
    other = nih[["patient", "rsna_class"]].assign(set="NIH", label=nih_classes(nih))
    X = np.concatenate([arrays[2], nih_images(nih, SIZE)])
    table = pd.concat([own, other], ignore_index=True).assign(opacity=opacity_alone(X).round(5))

    drawn = draw_teachers(8000, 2000)[::2]  # children
    healthy = drawn[~drawn[..., 2].any((1, 2)), :, :, :1] / np.float32(255)
    healthy = healthy[: (arrays[1] == 0).sum()]
    for seed in range(3):
        model, _ = load_trained(train_robust_model, *arrays, seed=seed)
        table[f"inserted_{seed}"] = parts_of(model, X)["inserted"].round(5)
        marking = teach_insertion(healthy, draw_teachers(1000, 1000 + seed), seed=seed)
        table[f"drawn_{seed}"] = opacity_alone(X, marking).round(5)
    write_table(RESULTS / "insertion.csv.gz", table)


def study_refusal(splits):
    """What proportion of each set the robust network refuses: ``refusal.csv``."""
    import skimage.data

    arrays = load_arrays(splits, SIZE)
    validation = arrays[2][:300]
    rng = np.random.default_rng(0)
    mont = sorted((folder() / "montgomery_tb").rglob("*.png"))
    adults = [draw_phantom(number, seed=5, population="adults").image for number in range(120)]
    original = load_arrays(data.load_splits(folder() / "pneumoniamnist.npz"))[4]
    pictures = [getattr(skimage.data, name)() for name in PICTURES]
    sets = {
        "validation": arrays[2],
        "test": arrays[4],
        "original test folder, 28×28 enlarged": resize(original, SIZE),
        "NIH, development part": nih_images(nih_labels(), SIZE),
        "Montgomery": images(mont, SIZE),
        "phantoms: children": load_arrays(data.load_phantoms(), SIZE)[4],
        "phantoms: adults": images(adults, SIZE),
        "photographs": tiles_of(load_sample_images().images, 200),
        "other pictures": tiles_of(pictures, 320),
        "inverted": 1 - validation,
        "turned by 90 degrees": np.rot90(validation, 1, (1, 2)),
        "turned by 180 degrees": validation[:, ::-1, ::-1],
        "noise": rng.random((100, SIZE, SIZE, 1), np.float32),
        "blank": np.full((11, SIZE, SIZE, 1), np.linspace(0, 1, 11)[:, None, None, None], "f4"),
    }
    rows = []
    for seed in range(3):
        model, _ = load_trained(train_robust_model, *arrays[:4], seed=seed)
        for name, X in sets.items():
            refused = int((unfamiliarity(model, X) > 1).sum())
            rows.append({"set": name, "images": len(X), "seed": seed, "refused": refused})
    write_table(RESULTS / "refusal.csv", pd.DataFrame(rows))


def study_framing(splits):
    """What another framing does to the robust network: ``framing.csv.gz``.

    Radiographs of these children are wider than tall and were squeezed to a square; the NIH's are
    square. ``cropped``: the middle three quarters of a child's width, as if a program had cut a
    square out of an image 4:3 wide; of the NIH's height, squeezed as the children's were.
    """
    arrays = load_arrays(splits, SIZE)[:4]
    *_, validation, y_validation = arrays
    nih = nih_labels()
    X_nih, y_nih = nih_images(nih, SIZE), nih_classes(nih)
    original, y_original = load_arrays(data.load_splits(folder() / "pneumoniamnist.npz"))[4:]
    middle = slice(SIZE // 8, SIZE - SIZE // 8)
    sets = {
        "validation": (validation, y_validation),
        "validation, cropped": (resize(validation[:, :, middle], SIZE), y_validation),
        "NIH": (X_nih, y_nih),
        "NIH, cropped": (resize(X_nih[:, middle], SIZE), y_nih),
        "original test folder, 28×28 enlarged": (resize(original, SIZE), y_original),
    }
    table = _table(sets, nih)
    patients = _patients(splits["validation"])
    table.loc[table["set"].str.startswith("validation"), "patient"] = 2 * patients
    X = np.concatenate([X for X, _ in sets.values()])
    for seed in range(3):
        model, _ = load_trained(train_robust_model, *arrays, seed=seed)
        parts = parts_of(model, X)
        for name in ("robust", "home", "unets", "unfamiliar"):
            table[f"{name}_{seed}"] = parts[name].round(5)
    write_table(RESULTS / "framing.csv.gz", table)


def study_controls(splits):
    """What can be told from less than the image, and of which hospital it is: ``controls.csv.gz``.

    Networks and logistic regressions of the training images, asked about all others. Those called
    ``hospital`` tell this hospital from the NIH's: the only ones that images from elsewhere train,
    those of half of its patients, on which they are not asked.
    """
    train = load_arrays(splits, 64)
    nih = nih_labels()
    original = load_arrays(data.load_splits(folder() / "pneumoniamnist.npz"))[4:]
    sets = {
        "validation": train[2:4],
        "test": train[4:],
        "original test folder": (resize(original[0], 64), original[1]),
        "NIH": (nih_images(nih, 64), nih_classes(nih)),
    }
    table = _table(sets, nih)
    for split in ("validation", "test"):
        table.loc[table["set"] == split, "patient"] = _patients(splits[split])
    is_nih = (table["set"] == "NIH").to_numpy()

    # The controls of the training images and of all others; labels that mean nothing; hospitals.
    y = train[1]
    X = np.concatenate([X for X, _ in sets.values()])
    own, asked = ({n: resize(c, 28) for n, c in make_controls(Z).items()} for Z in (train[0], X))
    half = nih["patient"].drop_duplicates().sample(frac=0.5, random_state=0)
    taught = is_nih & table["patient"].isin(half).to_numpy()
    y_hospital = np.repeat([0, 1], [len(y), taught.sum()])
    images_of = {name: (own[name], asked[name], y) for name in own}
    images_of["shuffled"] = (own["whole"], asked["whole"], y)
    both = np.concatenate([own["whole"], asked["whole"][taught]])
    images_of["hospital"] = (both, asked["whole"], y_hospital)
    validation = asked["whole"][: len(train[3])], train[3]  # chooses nothing here
    taught_by = {"hospital": taught, "hospital_figures": taught}
    for name, (X_own, X_asked, labels) in images_of.items():
        for seed in range(5):
            if name == "shuffled":
                labels = np.random.default_rng(seed).permutation(y)
            arrays = X_own, labels, *validation
            answer = partial(_ask, train_quick_model, arrays, X_asked, seed)
            table = _add("controls", table, name, seed, answer, taught_by.get(name))

    figures, asked = gray_level_features(train[0]), gray_level_features(X)
    both = np.concatenate([figures, asked[taught]])
    for name, chosen, own, labels in (
        ("figures", slice(None), figures, y),
        ("mean", slice(1), figures, y),
        ("hospital_figures", slice(None), both, y_hospital),
    ):
        answer = partial(_ask_logistic, own[:, chosen], labels, asked[:, chosen])
        table = _add("controls", table, name, 0, answer, taught_by.get(name))


# ---------------------------------------------------------------------------------- what they need


def opacity_alone(X, marking=None):
    """Ask the U-Nets that phantoms alone taught: the strongest opacity in the crop.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]
    marking : keras.Model, optional
        Another U-Net that marks opacities, see `xraylib.beyond.robust.build_looking`.

    Returns
    -------
    (n,) float32 in [0, 1]
        The strongest tenth of the opacity in the crop, averaged.

    Examples
    --------
    >>> opacity_alone(np.zeros((2, 28, 28, 1), np.float32)).shape
    (2,)
    """
    log_odds = ask(build_looking(X.shape[1], marking), X)[2]
    return expit(log_odds)


def parts_of(model, X):
    """Ask a robust network, and what it is made of, in one pass.

    Parameters
    ----------
    model : keras.Model
        From `xraylib.beyond.robust.train_robust_model`.
    X : (n, size, size, 1) float32 in [0, 1]

    Returns
    -------
    dict of (n,) float32
        Probabilities of PNEUMONIA by ``robust``, the whole, ``home``, its home experts alone,
        and ``unets``, its U-Nets alone; ``inserted``, in [0, 1], the opacity that the U-Nets mark;
        ``unfamiliar``, see `xraylib.beyond.robust.unfamiliarity`, at most 999.
    """
    choose = model.get_layer("choose")
    logits, home, opacity, unfamiliar = ask(
        keras.Model(model.input, [model.output, *choose.input]), X
    )
    (a, b), (c, d) = choose.at_home, choose.elsewhere
    return {
        "robust": expit(logits[:, 1] - logits[:, 0]),
        "unfamiliar": np.minimum(unfamiliar, 999),
        "home": expit(a * (home[:, 1] - home[:, 0]) + b),
        "unets": expit(c * opacity + d),
        "inserted": expit(opacity),
    }


def tiles_of(images, n, seed=0):
    """Cut square tiles of 100 to 400 pixels out of pictures, out of each in turn.

    Parameters
    ----------
    images : list of array
    n : int
    seed : int

    Returns
    -------
    (n, 128, 128, 1) float32 in [0, 1]

    Examples
    --------
    >>> tiles_of(load_sample_images().images, 2).shape
    (2, 128, 128, 1)
    """
    rng = np.random.default_rng(seed)
    tiles = []
    for number in range(n):
        image = images[number % len(images)]
        height, width = image.shape[:2]
        side = min(int(rng.integers(100, 400)), height, width)
        top = int(rng.integers(height - side + 1))
        left = int(rng.integers(width - side + 1))
        tiles.append(preprocess_image(image[top : top + side, left : left + side], SIZE))
    return np.stack(tiles)


def nih_labels():
    """Read what is known of each of the NIH's images, a row an image."""
    return pd.read_csv(RESULTS / "nih_labels.csv", dtype={"patient": str})


def nih_classes(table):
    """Give the labels that were read from the NIH's reports: (n,) int, 1 is PNEUMONIA."""
    return (table["nih_class"] == "PNEUMONIA").to_numpy(int)


def nih_images(table, size):
    """Preprocess the NIH's images in the order of a table: (n, size, size, 1) float32 in [0, 1]."""
    return images([folder() / "nih" / name for name in table["file"]], size)


def images(sources, size):
    """Preprocess files or images, one after the other: (n, size, size, 1) float32 in [0, 1]."""
    return np.stack([preprocess_image(source, size) for source in sources])


def folder():
    """Return the folder of the images from elsewhere, a Path.

    Raises
    ------
    FileNotFoundError
        If XRAYLIB_ELSEWHERE names none.
    """
    path = Path(os.environ.get("XRAYLIB_ELSEWHERE") or "nothing")
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: set XRAYLIB_ELSEWHERE to a folder with pneumoniamnist.npz, nih/ and "
            "montgomery_tb/."
        )
    return path


def _table(sets, nih):
    """Begin a table of some sets' images, with their labels and what is known of the NIH's."""
    labels = [y for _, y in sets.values()]
    names = np.repeat(list(sets), [len(y) for y in labels])
    table = pd.DataFrame({"set": names, "label": np.concatenate(labels)})
    known = ["patient", "rsna_class"]
    for name in sets:
        if name.startswith("NIH"):
            table.loc[names == name, known] = nih[known].to_numpy()
    return table


def _patients(split):
    """Name the patient of each image of a split, by its file name."""
    return [data.patient_of(name) for name in split["file_name"]]


def _ask(train, arrays, X, seed):
    """Train, and predict; of a robust network what it is made of as well."""
    model, history = load_trained(train, *arrays, seed=seed)
    print(train.__name__, seed, f"{history['seconds'][0]:.0f} s", flush=True)
    if train is not train_robust_model:
        return predict_proba(model, X), {}
    parts = parts_of(model, X)
    further = {"unfamiliar": parts["unfamiliar"].round(4), "inserted": parts["inserted"].round(5)}
    return parts["robust"], further


def _ask_logistic(*arrays):
    """A logistic regression answers, and nothing further."""
    return predict_logistic(*arrays), {}


def _add(study, table, name, seed, ask, taught=None):
    """Add the columns of one network, from what is written already or measured now; no answer
    about an image that taught it.
    """
    path = RESULTS / f"{study}.csv.gz"
    before = pd.read_csv(path, dtype={"patient": str}) if path.exists() else table
    if f"{name}_{seed}" in before:
        return before
    p, further = ask()
    columns = {name: p.round(5) if taught is None else np.where(taught, np.nan, p.round(5))}
    columns |= further
    table = before.assign(**{f"{column}_{seed}": each for column, each in columns.items()})
    write_table(path, table)
    print(f"{study}: {name}_{seed}", flush=True)
    return table


if __name__ == "__main__":
    splits = data.load_splits()
    studies = {
        "nih": lambda: study_nih(splits),
        "insertion": lambda: study_insertion(splits),
        "framing": lambda: study_framing(splits),
        "refusal": lambda: study_refusal(splits),
        "benchmark": study_benchmark,
        "controls": lambda: study_controls(splits),
    }
    for name in sys.argv[1:] or studies:
        studies[name]()
