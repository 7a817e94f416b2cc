"""The long measurements behind notebooks 7 and 8, on the source in use.

``python -m xraylib.beyond.study [name ...]`` trains what is missing. Each training appends one row for
validation and one for test images to ``notebooks/study.csv`` as soon as it is done: what was trained
and tested on what, with which seed, what came out, how long the training took (wall-clock seconds,
all cores of the machine), and the commit it was measured at.
"""

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from datasets import DatasetDict, concatenate_datasets
from sklearn.linear_model import LogisticRegression

from xraylib import cached, data, evaluation, preprocessing
from xraylib.beyond.quick import train_quick_model
from xraylib.beyond.residual import train_better_model
from xraylib.model import predict_proba, train_model
from xraylib.quiet import keras, layers

CSV = Path(__file__).parents[2] / "notebooks" / "study.csv"
METRICS = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "roc_auc"]
COLUMNS = ["study", "setting", "size", "seed", "tested_on", "images", "parameters", "seconds"]
COLUMNS += ["loss", *METRICS, "commit"]
SEEDS = (0, 1, 2)
GROUPS = ("at random", "darkest", "least contrast", "least sharp", "lowest patient numbers")


@dataclass(frozen=True)
class Training:
    """One training: what is trained on which splits.

    Examples
    --------
    >>> Training("random split", "reference", train_model, dict).size
    28
    """

    study: str
    setting: str
    train: Callable
    load: Callable  # without arguments, to a DatasetDict
    size: int = 28
    seed: int = 0


def trainings(splits):
    """List every training of the study.

    Parameters
    ----------
    splits : datasets.DatasetDict
        What `xraylib.data.load_splits` returns.

    Returns
    -------
    iterator of Training

    Examples
    --------
    >>> next(trainings(data.load_splits("phantom"))).setting
    'reference'
    """

    def load():
        return splits

    def load_phantoms_to_real():
        return DatasetDict({**data.load_phantoms(), "test": splits["test"]})

    def load_fresh_phantoms():
        return DatasetDict({**data.load_phantoms(), **data.load_phantoms({"test": 2000}, seed=1)})

    by_patient = partial(data.split_by_patient, splits)
    for seed in SEEDS:
        yield Training("random split", "reference", train_model, load, seed=seed)
        yield Training("random split", "quick", train_quick_model, load, seed=seed)
        yield Training("random split", "better 28", train_better_model, load, seed=seed)
        yield Training("random split", "better 64", train_better_model, load, 64, seed)
        yield Training("patient split", "reference", train_model, by_patient, seed=seed)
        yield Training("patient split", "better 28", train_better_model, by_patient, seed=seed)
        phantoms = "trained on phantoms"
        yield Training(phantoms, "reference", train_model, load_phantoms_to_real, seed=seed)
        yield Training("fresh phantoms", "reference", train_model, load_fresh_phantoms, seed=seed)
    yield Training("fresh phantoms", "logistic regression", train_logistic, load_fresh_phantoms)
    for group in GROUPS:
        load_group = partial(hold_out, splits, group)
        yield Training("shift", f"reference, {group}", train_model, load_group)
        yield Training("shift", f"better 28, {group}", train_better_model, load_group)


def train_logistic(X, y, X_validation, y_validation, *, seed=0):
    """Fit a logistic regression on standardised pixels, as a network without hidden layers.

    Parameters
    ----------
    X, y, X_validation, y_validation
        As `xraylib.model.train_model`; the validation images are not used.
    seed : int

    Returns
    -------
    model : keras.Sequential
        For `xraylib.model.predict_proba`.
    history : dict
        Empty.

    Examples
    --------
    >>> X = np.random.default_rng(0).random((8, 28, 28, 1), np.float32)
    >>> train_logistic(X, np.arange(8) % 2, X, np.arange(8) % 2)[0].output_shape
    (None, 2)
    """
    flat = X.reshape(len(X), -1)
    mean, deviation = flat.mean(0), flat.std(0) + 1e-6
    fitted = LogisticRegression(max_iter=5000, random_state=seed)
    fitted.fit((flat - mean) / deviation, y)
    weights = fitted.coef_[0] / deviation
    model = keras.Sequential([keras.Input(X.shape[1:]), layers.Flatten(), layers.Dense(2)])
    bias = fitted.intercept_[0] - weights @ mean
    model.layers[-1].set_weights([np.stack([0 * weights, weights], 1), np.array([0, bias])])
    return model, {}


def hold_out(splits, group):
    """Hold out a group of training and validation images as ``test``.

    A group takes a quarter of each class by one property, so the proportion of PNEUMONIA stays as
    it is; the patients in it are taken out of training and validation. ``at random`` takes a random
    quarter of the patients, to compare with. The test images of `splits` are not used.

    Parameters
    ----------
    splits : datasets.DatasetDict
    group : str
        One of `GROUPS`.

    Returns
    -------
    datasets.DatasetDict

    Examples
    --------
    >>> len(hold_out(data.load_splits("phantom"), "darkest")["test"]) > 200
    True
    """
    # The property by which the group is chosen, one value an image.
    pool = concatenate_datasets([splits["train"], splits["validation"]])
    X, y = preprocessing.preprocess_split(pool, 64)
    patients = np.array([data.patient_of(name) for name in pool["file_name"]])
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

    # The lowest quarter of each class is the group; the rest, without its patients, trains.
    test = np.zeros(len(y), bool)
    for label in (0, 1):
        test |= (y == label) & (values <= np.quantile(values[y == label], 0.25))
    rest = np.flatnonzero(~test & ~np.isin(patients, patients[test]))
    validation = rng.random(len(rest)) < 0.15
    rows = {"train": rest[~validation], "validation": rest[validation], "test": test.nonzero()[0]}
    return DatasetDict({split: pool.select(numbers) for split, numbers in rows.items()})


def measure(training):
    """Train once and evaluate on validation and test images.

    Parameters
    ----------
    training : Training

    Returns
    -------
    list of dict
        A row for the validation and one for the test images, with the keys `COLUMNS`.
    """
    arrays = cached.load_arrays(training.load(), training.size)
    model, history = cached.load_trained(training.train, *arrays[:4], seed=training.seed)
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    rows = []
    for tested_on, X, y in (("validation", *arrays[2:4]), ("test", *arrays[4:])):
        p = predict_proba(model, X)
        values = evaluation.metrics_at(y, p)
        row = {
            "study": training.study,
            "setting": training.setting,
            "size": training.size,
            "seed": training.seed,
            "tested_on": tested_on,
            "images": len(y),
            "parameters": model.count_params(),
            "seconds": round(history["seconds"][0]),
            "loss": round(evaluation.cross_entropy(y, p), 5),
            "commit": commit,
        }
        rows.append(row | {name: round(values[name], 5) for name in METRICS})
    return rows


def main(names):
    """Measure what is missing: every training, or those whose description holds one of `names`."""
    if not CSV.exists():
        CSV.write_text(",".join(COLUMNS) + "\n")
    with CSV.open() as file:
        done = {(row["study"], row["setting"], int(row["seed"])) for row in csv.DictReader(file)}
    for training in trainings(data.load_splits()):
        key = (training.study, training.setting, training.seed)
        description = f"{training.study}: {training.setting}, seed {training.seed}"
        wanted = not names or any(name in description for name in names)
        if not wanted or key in done:
            continue
        rows = measure(training)
        with CSV.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerows(rows)
        seconds, accuracy = rows[1]["seconds"], rows[1]["accuracy"]
        print(f"{description}: {seconds} s, {accuracy:.4f} on test", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
