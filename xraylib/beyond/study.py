"""The long measurements behind the later notebooks: ``python -m xraylib.beyond.study [STUDY ...]``.

Each study is a file in ``notebooks/results/``: a row an image, a column a trained network with its
predicted probabilities of PNEUMONIA, so that a new question about an old network needs no training.
Columns that are there already are not measured again; a column is written as soon as it is done.
"""

import io
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import concatenate_datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from xraylib import data
from xraylib.beyond.quick import train_quick_model
from xraylib.beyond.residual import train_better_model
from xraylib.beyond.robust import train_robust_model
from xraylib.cached import load_arrays, load_trained
from xraylib.files.store import atomic_write
from xraylib.model import predict_proba, train_model
from xraylib.preprocessing import preprocess_split

RESULTS = Path(__file__).parents[2] / "notebooks" / "results"
GROUPS = ("at random", "darkest", "least contrast", "least sharp", "lowest patient numbers")


# ------------------------------------------------------------------------------------- the studies


def study_seeds(splits):
    """Several seeds of every network on the splits as they are: ``seeds.csv.gz``.

    ``reference``, ``quick`` and ``better`` are the networks of lessons 4 and 11; ``weighted`` is
    quick with both classes weighted alike; ``phantoms`` is quick, trained on phantoms alone;
    ``robust`` is the network of lesson 15, at 128 pixels.
    """
    arrays = load_arrays(splits)
    phantoms = load_arrays(data.load_phantoms())
    X = np.concatenate(arrays[::2])
    weights = len(arrays[1]) / (2 * np.bincount(arrays[1]))  # each class counts for half
    weighted = partial(train_quick_model, class_weight=dict(enumerate(weights.tolist())))
    large = load_arrays(splits, 128)
    X_large = np.concatenate(large[::2])
    for name, train, seeds, images, asked in (
        ("reference", train_model, 5, arrays, X),
        ("quick", train_quick_model, 10, arrays, X),
        ("weighted", weighted, 5, arrays, X),
        ("phantoms", train_quick_model, 5, phantoms, X),
        ("better", train_better_model, 3, arrays, X),
        ("robust", train_robust_model, 3, large, X_large),
    ):
        for seed in range(seeds):
            ask = partial(_predict, train, images, asked, seed)
            yield f"{name}_{seed}", lambda ask=ask: (ask(), None)


def study_leakage(splits):
    """Ten random and ten by-patient splits, quick training: ``leakage.csv.gz``.

    Each column has the test images of its own split alone.
    """
    X, y, names = _pool(splits)
    for seed in range(10):
        for name, divide in (("random", _split_at_random), ("by_patient", _split_by_patient)):
            yield f"{name}_{seed}", partial(_train_and_test, X, y, divide(splits, names, y, seed))


def study_held_out(splits):
    """A quarter of the images held out by one property, five seeds: ``held_out.csv.gz``.

    Columns have the network's own validation images and the group; ``part_…`` says which is which.
    In every group as many images of each class train. The test images are not used.
    """
    development = {**splits, "test": splits["test"].select([])}
    X, y, names = _pool(development)
    parts = {group: hold_out(development, group) for group in GROUPS}
    counts = [np.bincount(y[part == "train"], minlength=2) for part in parts.values()]
    for group, part in parts.items():
        chosen = _thin_out(part, y, np.min(counts, 0))
        slug = group.replace(" ", "_")
        for seed in range(5):
            yield f"{slug}_{seed}", partial(_train_and_test, X, y, chosen, seed, f"part_{slug}")


def study_fresh_phantoms(splits):
    """The reference network and a logistic regression on 2,000 fresh phantoms."""
    fresh = data.load_phantoms({"test": 2000}, seed=1)["test"]
    arrays = load_arrays(data.load_phantoms())
    X, _ = preprocess_split(fresh)
    for seed in range(3):
        yield f"reference_{seed}", lambda s=seed: (_predict(train_model, arrays, X, s), None)
    yield "logistic", lambda: (predict_logistic(*arrays[:2], X), None)


# ---------------------------------------------------------------------------------- what they need


def predict_logistic(X, y, X_test):
    """Predict by logistic regression on standardized pixels or features.

    Parameters
    ----------
    X, X_test : (n, ...) float32
    y : (n,) int

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> X = np.random.default_rng(0).random((8, 4, 4, 1))
    >>> predict_logistic(X, np.arange(8) % 2, X).shape
    (8,)
    """
    flat = X.reshape(len(X), -1)
    mean, deviation = flat.mean(0), flat.std(0) + 1e-6
    fitted = LogisticRegression(max_iter=5000).fit((flat - mean) / deviation, y)
    return fitted.predict_proba((X_test.reshape(len(X_test), -1) - mean) / deviation)[:, 1]


def hold_out(splits, group):
    """Divide images into a group, with a quarter of each class, and others for training.

    The patients of the group are in no other part; the patients of validation are not in training.

    Parameters
    ----------
    splits : dict of str to datasets.Dataset
    group : str
        One of `GROUPS`; ``at random`` is a random quarter of the patients, to compare with.

    Returns
    -------
    (n,) str
        ``"test"`` for the group, ``"train"``, ``"validation"``, ``"unused"``; rows sorted by name.

    Examples
    --------
    >>> part = hold_out(data.load_splits("phantom"), "darkest")
    >>> bool((part == "test").mean() > 0.2)
    True
    """
    # The property by which the group is chosen, one value an image.
    X, y, names = _pool(splits, 64)
    patients = np.array([data.patient_of(name) for name in names])
    rng = np.random.default_rng(0)
    order = {patient: rng.random() for patient in sorted(set(patients))}
    deviation = X.std((1, 2, 3))
    values = {
        "at random": lambda: np.array([order[patient] for patient in patients]),
        "darkest": lambda: X.mean((1, 2, 3)),
        "least contrast": lambda: deviation,
        "least sharp": lambda: np.abs(np.diff(X[..., 0], axis=1)).mean((1, 2)) / (deviation + 1e-6),
        "lowest patient numbers": lambda: np.array(
            [int(re.search(r"(\d+)$", patient)[1]) for patient in patients]
        ),
    }[group]()

    # The lowest quarter of each class is the group; of the other patients, 15% validate.
    part = np.full(len(y), "train", dtype="<U10")
    for label in (0, 1):
        lowest = values <= np.quantile(values[y == label], 0.25)
        part[(y == label) & lowest] = "test"
    held_out = np.isin(patients, patients[part == "test"])
    part[held_out & (part != "test")] = "unused"
    others = np.unique(patients[~held_out])
    validation = rng.permutation(others)[: round(0.15 * len(others))]
    part[np.isin(patients, validation)] = "validation"
    return part


def _thin_out(part, y, counts):
    """Let only so many training images of each class stay, chosen at random."""
    part = part.copy()
    rng = np.random.default_rng(0)
    for label, count in enumerate(counts):
        rows = rng.permutation(np.flatnonzero((part == "train") & (y == label)))
        part[rows[count:]] = "unused"
    return part


def _pool(splits, size=28):
    """X, y and the file names of all splits, rows sorted by name."""
    pool = concatenate_datasets([splits[name] for name in data.SPLIT_NAMES])
    names = np.array(pool["file_name"])
    pool = pool.select(np.argsort(names, kind="stable"))
    return *preprocess_split(pool, size), np.sort(names)


def _split_at_random(splits, names, y, seed):
    """70/20/10 percent of the images, stratified by class, as part of each image."""
    rows = np.arange(len(y))
    rest, test = train_test_split(rows, test_size=0.1, stratify=y, random_state=seed)
    _, validation = train_test_split(rest, test_size=2 / 9, stratify=y[rest], random_state=seed)
    part = np.full(len(y), "train", dtype="<U10")
    part[test] = "test"
    part[validation] = "validation"
    return part


def _split_by_patient(splits, names, y, seed):
    """The same without a patient in two parts."""
    divided = data.split_by_patient(splits, seed)
    part_of = {name: part for part, split in divided.items() for name in split["file_name"]}
    return np.array([part_of[name] for name in names])


def _predict(train, arrays, X, seed):
    """Train on the first four of six arrays, predict X."""
    if isinstance(train, partial):  # not cached: a partial has no file of its own
        return predict_proba(train(*arrays[:4], seed=seed)[0], X)
    return predict_proba(load_trained(train, *arrays[:4], seed=seed)[0], X)


def _train_and_test(X, y, part, seed=0, part_column=None):
    """Quick training; probabilities of the test images, of validation too if parts are told."""
    of = {name: part == name for name in ("train", "validation", "test")}
    arrays = [a[of[name]] for name in ("train", "validation", "test") for a in (X, y)]
    asked = of["test"] | of["validation"] if part_column else of["test"]
    p = np.full(len(y), np.nan)
    p[asked] = _predict(train_quick_model, arrays, X[asked], seed)
    return p, {part_column: part} if part_column else None


def _empty_table(splits):
    """A row an image, in the order of the splits' arrays, without probabilities."""
    rows = [
        {"file_name": name, "label": label, "split": split}
        for split in splits
        for name, label in zip(splits[split]["file_name"], splits[split]["label"], strict=True)
    ]
    table = pd.DataFrame(rows)
    etiology = table["file_name"].str.extract(data.PATIENT)[2].fillna("")
    table.insert(1, "patient", table["file_name"].map(data.patient_of))
    table.insert(2, "etiology", etiology)
    return table


def write_table(path, table):
    """Write a table as CSV, packed if the name ends so: the same table, the same bytes.

    Parameters
    ----------
    path : Path
        Ending in ``.csv`` or ``.csv.gz``.
    table : pandas.DataFrame
    """
    file = io.BytesIO()
    compression = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    table.to_csv(file, index=False, compression=compression, lineterminator="\n")
    atomic_write(path, file.getvalue())


STUDIES = {
    "seeds": study_seeds,
    "leakage": study_leakage,
    "held_out": study_held_out,
    "fresh_phantoms": study_fresh_phantoms,
}


def main(names):
    """Measure what is missing of the named studies, or of all."""
    if unknown := [name for name in names if name not in STUDIES]:
        sys.exit(f"{unknown[0]!r} is no study: they are {', '.join(STUDIES)}.")
    splits = data.load_splits()
    for name in names or STUDIES:
        images = splits
        if name == "fresh_phantoms":
            images = data.load_phantoms({"test": 2000}, seed=1)
        elif name == "held_out":
            images = {split: splits[split] for split in ("train", "validation")}
        table = _empty_table(images)
        if name in ("leakage", "held_out"):  # rows of `_pool`
            table = table.sort_values("file_name", kind="stable", ignore_index=True)
        path = RESULTS / f"{name}.csv.gz"
        if path.exists():
            before = pd.read_csv(path).drop(columns=["patient", "etiology", "label"])
            table = table.merge(before, how="left", on=["file_name", "split"])
        missing = [(c, measure) for c, measure in STUDIES[name](splits) if c not in table]
        if not missing:
            print(f"{name}: nothing is missing; move {path.name} away to measure it again")
        for column, measure in missing:
            p, parts = measure()
            table[column] = np.round(p, 5)
            for part_column, part in (parts or {}).items():
                table[part_column] = part
            write_table(path, table.sort_values("file_name", kind="stable"))
            print(f"{name}: {column}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
