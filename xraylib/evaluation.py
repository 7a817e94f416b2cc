"""What predictions are worth: rates, intervals, comparisons. Nothing here draws."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn import metrics

from xraylib.data import CLASSES

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
    ``f1``; and ``roc_auc``, which needs no threshold. A rate of an empty group is NaN.
    """
    (tn, fp), (fn, tp) = confusion(y, p, threshold)
    with np.errstate(invalid="ignore"):
        sensitivity, specificity, precision = np.array([tp, tn, tp]) / np.array([tp + fn, tn + fp, tp + fp])
    return {
        "accuracy": float((tp + tn) / len(y)),
        "balanced_accuracy": float((sensitivity + specificity) / 2),
        "sensitivity": float(sensitivity),
        "specificity": float(specificity),
        "precision": float(precision),
        "f1": float(2 * tp / max(2 * tp + fp + fn, 1)),
        "roc_auc": float(metrics.roc_auc_score(y, p)) if len(set(np.asarray(y))) == 2 else float("nan"),
    }


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
