"""The long measurements behind notebooks 7 and 8: ``python -m xraylib.study [name ...]``, on the source in use.

Each training appends one row to ``notebooks/study.csv`` as soon as it is done; rows that are there already are not
measured again. A row says what was trained and tested on what, with which seed, what came out, how long the fitting
took (wall-clock seconds, all cores of the machine), and the commit it was measured at.
"""

import csv
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
from datasets import DatasetDict, concatenate_datasets

from xraylib import data, evaluation, preprocessing
from xraylib.files import store

CSV = Path(__file__).parents[1] / "notebooks" / "study.csv"
RATES = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "roc_auc"]
COLUMNS = ["study", "setting", "size", "seed", "tested_on", "images", "parameters", "seconds", "loss", *RATES, "commit"]
SEEDS = (0, 1, 2)
GROUPS = ("at random", "darkest", "least contrast", "least sharp", "lowest patient numbers")


def studies(splits):
    """Each training as (study, setting, training function, function that returns the splits, size, its settings)."""
    from xraylib.model import QUICK, train_better_model, train_model

    def to_real():
        return DatasetDict({**data.load_phantoms(), "test": splits["test"]})

    def fresh():
        return DatasetDict({**data.load_phantoms(), **data.load_phantoms({"test": 2000}, seed=1)})

    by_patient = partial(data.split_by_patient, splits)
    for seed in ({"seed": number} for number in SEEDS):
        yield "random split", "described", train_model, lambda: splits, 28, seed
        yield "random split", "described, quick", train_model, lambda: splits, 28, {**QUICK, **seed}
        yield "random split", "better 28", train_better_model, lambda: splits, 28, seed
        yield "random split", "better 64", train_better_model, lambda: splits, 64, seed
        yield "patient split", "described", train_model, by_patient, 28, seed
        yield "patient split", "better 28", train_better_model, by_patient, 28, seed
        yield "trained on phantoms", "described", train_model, to_real, 28, seed
        yield "fresh phantoms", "described", train_model, fresh, 28, seed
    seed = {"seed": 0}
    yield "fresh phantoms", "logistic regression", train_logistic, fresh, 28, seed
    for group in GROUPS:
        yield "shift", f"described, {group}", train_model, partial(held_out, splits, group), 28, seed
        yield "shift", f"better 28, {group}", train_better_model, partial(held_out, splits, group), 28, seed


def train_logistic(X, y, X_validation, y_validation, *, seed=0):
    """Logistic regression on standardised pixels, as a network without hidden layers that `predict_proba` can ask."""
    from sklearn.linear_model import LogisticRegression

    from xraylib.model import keras, layers

    flat, mean, deviation = X.reshape(len(X), -1), X.mean(0).ravel(), X.std(0).ravel() + 1e-6
    found = LogisticRegression(max_iter=5000, random_state=seed).fit((flat - mean) / deviation, y)
    weights = found.coef_[0] / deviation
    model = keras.Sequential([keras.Input(X.shape[1:]), layers.Flatten(), layers.Dense(2)])
    bias = found.intercept_[0] - weights @ mean
    model.layers[-1].set_weights([np.stack([0 * weights, weights], 1), np.array([0, bias])])
    return model, {}


def held_out(splits, group):
    """Training and validation images with a group of pictures (one of `GROUPS`) held out as ``test``.

    A group takes a quarter of each class by one property, so the share of PNEUMONIA stays as it is; the patients in it
    are taken out of training and validation. ``at random`` takes a random quarter of the patients, to compare with.
    The test images of `splits` are not used.
    """
    pool = concatenate_datasets([splits["train"], splits["validation"]])
    X, y = preprocessing.preprocess_split(pool, 64)
    patients = np.array([data.patient_of(name) for name in pool["file_name"]])
    rng = np.random.default_rng(0)
    order = {who: rng.random() for who in sorted(set(patients))}
    value = {
        "at random": lambda: np.array([order[who] for who in patients]),
        "darkest": lambda: X.mean((1, 2, 3)),
        "least contrast": lambda: X.std((1, 2, 3)),
        "least sharp": lambda: np.abs(np.diff(X[..., 0], axis=1)).mean((1, 2)) / (X.std((1, 2, 3)) + 1e-6),
        "lowest patient numbers": lambda: np.array([int(re.search(r"(\d+)$", who)[1]) for who in patients]),
    }[group]()
    test = np.zeros(len(y), bool)
    for kind in (0, 1):
        test |= (y == kind) & (value <= np.quantile(value[y == kind], 0.25))
    rest = np.flatnonzero(~test & ~np.isin(patients, patients[test]))
    validation = rng.random(len(rest)) < 0.15
    rows = {"train": rest[~validation], "validation": rest[validation], "test": np.flatnonzero(test)}
    return DatasetDict({split: pool.select(numbers) for split, numbers in rows.items()})


def measure(study, setting, train, parts, size, settings):
    """Train once and return the rows: one for the validation and one for the test images."""
    from xraylib.model import predict_proba

    X, y, X_validation, y_validation, X_test, y_test = store.load_arrays(parts(), size)
    model, _ = store.load_trained(train, X, y, X_validation, y_validation, **settings)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for tested_on, X, y in (("validation", X_validation, y_validation), ("test", X_test, y_test)):
        p = predict_proba(model, X)
        rates = {name: round(value, 5) for name, value in evaluation.rates(y, p).items() if name in RATES}
        yield {
            **{"study": study, "setting": setting, "size": size, "seed": settings["seed"], "tested_on": tested_on},
            **{"images": len(y), "parameters": model.count_params(), "seconds": round(model.fit_seconds)},
            **{"loss": round(evaluation.cross_entropy(y, p), 5), **rates, "commit": commit},
        }


def main(names):
    splits = data.load_splits()
    if not CSV.exists():
        CSV.write_text(",".join(COLUMNS) + "\n")
    with CSV.open() as file:
        done = {(row["study"], row["setting"], row["seed"]) for row in csv.DictReader(file)}
    for training in studies(splits):
        study, setting, *_, settings = training
        seed = settings["seed"]
        wanted = not names or any(name in f"{study}: {setting}, seed {seed}" for name in names)
        if wanted and (study, setting, str(seed)) not in done:
            rows = list(measure(*training))
            with CSV.open("a", newline="") as file:
                csv.DictWriter(file, COLUMNS, lineterminator="\n").writerows(rows)
            print(
                f"{study}: {setting}, seed {seed}: {rows[1]['seconds']} s, {rows[1]['accuracy']:.4f} on test",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
