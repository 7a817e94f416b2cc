"""The long measurements behind notebooks 7 and 8: ``python -m xraylib.study [name ...]``, on the source in use.

Each training appends one row to ``notebooks/study.csv`` as soon as it is done; rows that are there already are not
measured again. A row says what was trained and tested on what, with which seed, what came out, how long the fitting
took (wall-clock seconds, all cores of the machine), and the commit it was measured at.
"""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
from datasets import DatasetDict, concatenate_datasets

from xraylib import data, evaluation, store

CSV = Path(__file__).parents[1] / "notebooks" / "study.csv"
RATES = ["accuracy", "balanced_accuracy", "sensitivity", "specificity", "roc_auc"]
COLUMNS = ["study", "setting", "size", "seed", "tested_on", "images", "parameters", "seconds", "loss", *RATES, "commit"]
SEEDS = (0, 1, 2)


def studies(splits):
    """Name of each study, mapped to (setting, training function, splits, size, seed) for each of its trainings."""
    from xraylib.model import train_better_model, train_model

    by_patient = data.split_by_patient(splits)
    both = {
        "described": (train_model, 28),
        "better 28": (train_better_model, 28),
        "better 64": (train_better_model, 64),
    }
    for name, (train, size) in both.items():
        yield "random split", [(name, train, splits, size, seed) for seed in SEEDS]
    for name in ("described", "better 28"):
        yield "patient split", [(name, both[name][0], by_patient, 28, seed) for seed in SEEDS]
    groups = held_out(splits)
    for name in ("described", "better 28"):
        yield "shift", [(f"{name}, {group}", both[name][0], parts, 28, 0) for group, parts in groups.items()]


def held_out(splits):
    """Training and validation images with a whole group of pictures held out as ``test``; nobody is on both sides.

    Each group takes a quarter of each class by one property, so the share of PNEUMONIA stays as it is. ``at random``
    takes a random quarter of the patients, to compare with. The test images of `splits` are not used.
    """
    pool = concatenate_datasets([splits["train"], splits["validation"]])
    X, y, *_ = store.load_arrays(DatasetDict(dict.fromkeys(splits, pool)), 64)
    patients = np.array([data.patient_of(name) for name in pool["file_name"]])
    number = np.array([int("".join(filter(str.isdigit, who.split("-")[-1])) or 0) for who in patients])
    step = np.abs(np.diff(X[..., 0], axis=1)).mean((1, 2)) / X.std((1, 2, 3))
    rng = np.random.default_rng(0)
    order = {who: rng.random() for who in sorted(set(patients))}
    properties = {
        "at random": np.array([order[who] for who in patients]),
        "darkest": X.mean((1, 2, 3)),
        "brightest": -X.mean((1, 2, 3)),
        "least contrast": X.std((1, 2, 3)),
        "least sharp": step,
        "lowest patient numbers": number,
    }
    groups = {}
    for name, value in properties.items():
        test = np.zeros(len(y), bool)
        for kind in (0, 1):
            test |= (y == kind) & (value <= np.quantile(value[y == kind], 0.25))
        rest = np.flatnonzero(~test & ~np.isin(patients, patients[test]))
        validation = rng.random(len(rest)) < 0.15
        rows = {"train": rest[~validation], "validation": rest[validation], "test": np.flatnonzero(test)}
        groups[name] = DatasetDict({split: pool.select(numbers) for split, numbers in rows.items()})
    return groups


def measure(study, setting, train, splits, size, seed):
    """Train once and return the rows: one for the validation and one for the test images."""
    from xraylib.model import predict_proba

    X, y, X_validation, y_validation, X_test, y_test = store.load_arrays(splits, size)
    model, _ = store.load_trained(train, X, y, X_validation, y_validation, seed=seed)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for tested_on, X, y in (("validation", X_validation, y_validation), ("test", X_test, y_test)):
        p = predict_proba(model, X)
        rates = {name: round(value, 5) for name, value in evaluation.rates(y, p).items() if name in RATES}
        yield {
            **{"study": study, "setting": setting, "size": size, "seed": seed, "tested_on": tested_on},
            **{"images": len(y), "parameters": model.count_params(), "seconds": round(model.fit_seconds)},
            **{"loss": round(evaluation.cross_entropy(y, p), 5), **rates, "commit": commit},
        }


def main(names):
    splits = data.load_splits()
    if not CSV.exists():
        CSV.write_text(",".join(COLUMNS) + "\n")
    with CSV.open() as file:
        done = {(row["study"], row["setting"], row["seed"]) for row in csv.DictReader(file)}
    for study, trainings in studies(splits):
        for training in trainings:
            setting, seed = training[0], training[-1]
            wanted = not names or any(name in f"{study}: {setting}" for name in names)
            if wanted and (study, setting, str(seed)) not in done:
                rows = list(measure(study, *training))
                with CSV.open("a", newline="") as file:
                    csv.DictWriter(file, COLUMNS, lineterminator="\n").writerows(rows)
                print(
                    f"{study}: {setting}, seed {seed}: {rows[1]['seconds']} s, {rows[1]['accuracy']:.4f} on test",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
