"""What predictions are worth: rates, intervals, comparisons. Nothing here draws."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn import metrics

from xraylib import CLASSES

#: What the user of the described system reported for it (20 epochs, the Hub's split; single run, seed unknown).
DESCRIBED = pd.DataFrame(
    {"loss": [0.0728, 0.1189, 0.14], "accuracy": [0.9738, 0.9614, 0.95]}, index=["train", "validation", "test"]
)


def cross_entropy(y, p):
    """The loss that the training minimises, as one float: the mean of ``-log`` of the probability of the true class.

    `y` is (n,) int, 0 or 1; `p` is (n,), the probability of PNEUMONIA in [0, 1]. Probabilities are kept 1e-7 away from
    0 and 1, as Keras does.
    """
    return float(metrics.log_loss(y, np.clip(np.asarray(p, float), 1e-7, 1 - 1e-7), labels=[0, 1]))


def confusion(y, p, threshold=0.5):
    """Counts as a (2, 2) int array: rows are the truth, columns the prediction, order NORMAL, PNEUMONIA.

    PNEUMONIA is predicted where ``p >= threshold``.
    """
    return metrics.confusion_matrix(y, np.asarray(p) >= threshold, labels=[0, 1])


def rates(y, p, threshold=0.5):
    """What the predictions at one operating point are worth, as a dict of floats in [0, 1].

    ``accuracy``; ``sensitivity``: the share of PNEUMONIA that is found; ``specificity``: the share of NORMAL that is
    left in peace; ``balanced_accuracy``: the mean of the two; ``precision``: the share of alarms that are right;
    ``f1``; and, without a threshold, ``roc_auc``, ``average_precision`` and ``brier_score`` (the mean squared error of
    the probability). A rate of an empty group is NaN.
    """
    return {name: float(values[0]) for name, values in weighted_rates(y, p, np.ones((1, len(y))), threshold).items()}


def weighted_rates(y, p, weights, threshold=0.5):
    """`rates` for many weightings of the same images at once: how a bootstrap becomes fast.

    `y` is (n,) int, `p` is (n,) in [0, 1], `weights` is (r, n): how often each image counts in each of r resamples.
    Returns a dict of (r,) float arrays. Equal to scikit-learn's metrics with ``sample_weight``.
    """
    y, p, weights = np.asarray(y), np.asarray(p, float), np.asarray(weights, float)
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(p[order]), -1))  # the last of each run of equal probabilities
    found, alarms = (np.cumsum((weights * (y == kind))[:, order], 1)[:, ends] for kind in (1, 0))
    ill, healthy = found[:, -1], alarms[:, -1]
    said = (p >= threshold).astype(float)
    tp, fp = weights @ (said * y), weights @ (said * (1 - y))
    new_found, new_alarms = np.diff(found, prepend=0), np.diff(alarms, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / ill, 1 - fp / healthy
        precisions = np.divide(found, found + alarms, out=np.zeros_like(found), where=found + alarms > 0)
        return {
            "accuracy": (tp + healthy - fp) / (ill + healthy),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": tp / (tp + fp),
            "f1": 2 * tp / (tp + fp + ill),
            "roc_auc": (new_alarms * (found - new_found / 2)).sum(1) / (ill * healthy),
            "average_precision": (new_found * precisions).sum(1) / ill,
            "brier_score": weights @ (p - y) ** 2 / (ill + healthy),
        }


def patient_weights(patients, resamples=1000, seed=0):
    """How often each image counts when *patients* are drawn with replacement: (resamples, n) int.

    `patients` is (n,), the patient of each image. Images of one patient come and go together, since they are not
    independent (cluster bootstrap: Field & Welsh 2007, J. R. Stat. Soc. B 69:369).
    """
    who = np.unique(patients, return_inverse=True)[1]
    count = who.max() + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn[:, who]


def bootstrap_table(y, p, patients, threshold=0.5, resamples=1000, seed=0):
    """`rates` with 95% intervals from a bootstrap over patients, as a DataFrame: a row a measure, value, from, to."""
    sampled = weighted_rates(y, p, patient_weights(patients, resamples, seed), threshold)
    ends = {name: np.nanquantile(values, (0.025, 0.975)) for name, values in sampled.items()}
    rows = {name: [value, *ends[name]] for name, value in rates(y, p, threshold).items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "from", "to"])


def threshold_for_sensitivity(y, p, sensitivity=0.95):
    """The largest threshold (float) at which at least this share of the PNEUMONIA images is found."""
    return float(np.quantile(np.asarray(p)[np.asarray(y) == 1], 1 - sensitivity, method="lower"))


def reliability(y, p, bins=10):
    """Predicted against observed: a DataFrame with a row for each bin of equal width that is not empty.

    Columns: ``predicted`` (mean probability of PNEUMONIA), ``observed`` (share of PNEUMONIA), ``images``.
    """
    bin_of = np.minimum((np.asarray(p) * bins).astype(int), bins - 1)
    table = pd.DataFrame({"predicted": p, "observed": y, "images": 1}).groupby(bin_of)
    return table.agg({"predicted": "mean", "observed": "mean", "images": "sum"}).reset_index(drop=True)


def calibration_error(y, p, bins=10):
    """The expected calibration error (float): mean ``|predicted - observed|`` over bins, weighted by their images.

    Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, for the probability of PNEUMONIA.
    """
    table = reliability(y, p, bins)
    return float(np.average((table["predicted"] - table["observed"]).abs(), weights=table["images"]))


def log_odds(p):
    """The logits of probabilities, which are kept 1e-7 away from 0 and 1. Shape of `p`, float."""
    return logit(np.clip(np.asarray(p, float), 1e-7, 1 - 1e-7))


def apply_temperature(p, temperature):
    """Probabilities whose logits are divided by `temperature`: above 1 they move towards 0.5. Shape of `p`, float."""
    return expit(log_odds(p) / temperature)


def fit_temperature(y, p):
    """The temperature (float, 0.1 to 10) that makes the cross-entropy of `p` smallest; fit it on validation images."""
    loss = lambda log: cross_entropy(y, apply_temperature(p, np.exp(log)))  # noqa: E731
    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(10)), method="bounded").x))


def share_interval(hits, total):
    """The 95% interval (low, high) of a share, e.g. 38 of 40: Wilson's score interval (Wilson 1927, JASA 22:209).

    It takes the cases as independent; several pictures of one patient are not quite, so the truth is a little wider.
    """
    interval = binomtest(int(hits), int(total)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def results_table(predictions):
    """Loss and accuracy of each split beside the described figures, as a DataFrame.

    `predictions` maps each split's name to ``(y, p)``. The loss is evaluated after training, on all images of the
    split; the interval is Wilson's, at 95%.
    """
    rows = {}
    for split, (y, p) in predictions.items():
        hits = int(((np.asarray(p) >= 0.5) == np.asarray(y)).sum())
        low, high = share_interval(hits, len(y))
        rows[split] = {"images": len(y), "loss": cross_entropy(y, p), "accuracy": hits / len(y)}
        rows[split] |= {"95% interval": f"{low:.3f} to {high:.3f}"}
    described = DESCRIBED.add_prefix("described ")
    return pd.DataFrame.from_dict(rows, orient="index").join(described).round(4)


def majority_baseline(y_train, y):
    """The accuracy (float) on `y` of always saying the class that is most frequent in `y_train`."""
    return float(np.mean(np.asarray(y) == np.bincount(y_train, minlength=2).argmax()))


def most_confident_errors(y, p, count=8):
    """The rows (int array, at most `count`) of wrong predictions at threshold 0.5, the surest first."""
    y, p = np.asarray(y), np.asarray(p)
    wrong = np.flatnonzero((p >= 0.5) != y)
    return wrong[np.argsort(-np.abs(p[wrong] - 0.5), kind="stable")][:count]


def rates_by_class(y, p):
    """The share of each class that is recognised, with its 95% interval, as a DataFrame with a row a class."""
    matrix = confusion(y, p)
    rows = {}
    for row, name in enumerate(CLASSES):
        hits, total = matrix[row, row], matrix[row].sum()
        low, high = share_interval(hits, total)
        rows[name] = {"right": hits, "of": total, "share": hits / total, "from": low, "to": high}
    return pd.DataFrame.from_dict(rows, orient="index").round(3)


def nearest(X, others):
    """For each picture its most similar one among others: (row in `others`, correlation of the pixels).

    `X` is (n, size, size, 1), `others` is (m, size, size, 1), float. A correlation of 1 means the same picture up to
    brightness and contrast. Returns (n,) int and (n,) float32.
    """
    flat = [np.asarray(pictures, np.float32).reshape(len(pictures), -1) for pictures in (X, others)]
    flat = [(rows - rows.mean(1, keepdims=True)) / (rows.std(1, keepdims=True) + 1e-6) for rows in flat]
    correlations = flat[0] @ flat[1].T / flat[0].shape[1]
    return correlations.argmax(1), correlations.max(1)
