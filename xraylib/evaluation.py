"""What predictions are worth: metrics, intervals and comparisons. Nothing here draws.

Everywhere `y` is (n,) int, the true labels, 0 for NORMAL and 1 for PNEUMONIA; `p` is (n,) float in
[0, 1], the predicted probability of PNEUMONIA; and PNEUMONIA is the positive class, predicted where
``p >= threshold``. Intervals are at 95%, with their ends in ``ci_low`` and ``ci_high``.
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn import metrics

from xraylib import CLASSES

#: What was reported for the reference network, in a description that was never published: one
#: training of 20 epochs on the Hub's own split, with a seed that is not known and no intervals.
REFERENCE_RESULTS = pd.DataFrame(
    {"loss": [0.0728, 0.1189, 0.14], "accuracy": [0.9738, 0.9614, 0.95]},
    index=["train", "validation", "test"],
)


def cross_entropy(y, p):
    """Compute the training loss: the mean of ``-log`` of the true class's probability.

    Parameters
    ----------
    y : array_like of int, (n,)
        True labels.
    p : array_like of float, (n,)
        Probabilities of PNEUMONIA; kept 1e-7 away from 0 and 1, as Keras does.

    Returns
    -------
    float
        In nats, at least 0.

    Raises
    ------
    ValueError
        If `check_probabilities` refuses `p`.

    Examples
    --------
    >>> round(cross_entropy([0, 1], [0.5, 0.5]), 4)  # ln 2
    0.6931
    """
    check_probabilities(y, p)
    return float(metrics.log_loss(y, np.clip(np.asarray(p, float), 1e-7, 1 - 1e-7), labels=[0, 1]))


def confusion(y, p, threshold=0.5):
    """Count the images by true and predicted class.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels and probabilities of PNEUMONIA.
    threshold : float
        The smallest probability that is called PNEUMONIA.

    Returns
    -------
    ndarray of int, (2, 2)
        Rows are the true class, columns the predicted class, in the order NORMAL, PNEUMONIA.

    Raises
    ------
    ValueError
        If an image has no probability.

    Examples
    --------
    >>> confusion([0, 0, 1], [0.1, 0.7, 0.8]).tolist()
    [[1, 1], [0, 1]]
    """
    check_probabilities(y, p)
    return metrics.confusion_matrix(y, np.asarray(p, float) >= threshold, labels=[0, 1])


def check_probabilities(y, p):
    """Raise an error unless each image has a probability: NaN would count as NORMAL, and log
    odds would pass for probabilities.

    Parameters
    ----------
    y : array_like of int, (n,)
        True labels.
    p : array_like of float, (n,)
        Probabilities of PNEUMONIA.

    Raises
    ------
    ValueError
        If `p` has another shape than `y`, NaN, or a value outside [0, 1].

    Examples
    --------
    >>> check_probabilities([0, 1], [0.2, np.nan])
    Traceback (most recent call last):
    ValueError: images: 2, probabilities: 1. Leave out the images without one.
    """
    count = np.sum(~np.isnan(p))
    if np.shape(p) != np.shape(y) or count < np.size(p):
        raise ValueError(
            f"images: {np.size(y)}, probabilities: {count}. Leave out the images without one."
        )
    if np.size(p) and (np.min(p) < 0 or np.max(p) > 1):
        raise ValueError(
            f"Probabilities lie in [0, 1], these from {np.min(p):g} to {np.max(p):g}: turn logits "
            "into probabilities with predict_proba."
        )


def metrics_at(y, p, threshold=0.5):
    """Compute the metrics of the predictions at one threshold.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels and probabilities of PNEUMONIA.
    threshold : float
        The smallest probability that is called PNEUMONIA.

    Returns
    -------
    dict of str to float
        ``accuracy``; ``balanced_accuracy``, the mean of the next two; ``sensitivity``, the
        proportion of PNEUMONIA images that are called so; ``specificity``, the proportion of NORMAL
        images that are called so; ``precision``, the proportion of PNEUMONIA calls that are
        correct; ``f1``, the harmonic mean of precision and sensitivity; and, whatever the
        threshold, ``roc_auc``, ``average_precision`` and ``brier_score``, the mean squared error of
        the probability. NaN where a group is empty.

    Examples
    --------
    >>> metrics_at([0, 0, 1, 1], [0.1, 0.7, 0.8, 0.9])["specificity"]
    0.5
    """
    values = weighted_metrics(y, p, np.ones((1, len(y))), threshold)
    return {name: float(value[0]) for name, value in values.items()}


def weighted_metrics(y, p, weights, threshold=0.5):
    """Compute `metrics_at` for many weightings of the same images at once: a fast bootstrap.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels and probabilities of PNEUMONIA.
    weights : array_like, (r, n)
        How often each image counts in each of r resamples.
    threshold : float
        The smallest probability that is called PNEUMONIA.

    Returns
    -------
    dict of str to ndarray of float, (r,)
        Equal to scikit-learn's metrics with ``sample_weight``, a row at a time.

    Raises
    ------
    ValueError
        If an image has no probability.

    Examples
    --------
    >>> weighted_metrics([0, 1], [0.2, 0.4], [[1, 1], [3, 1]])["accuracy"].tolist()
    [0.5, 0.75]
    """
    check_probabilities(y, p)
    y = np.asarray(y)
    p = np.asarray(p, float)
    weights = np.asarray(weights, float)
    y_pred = (p >= threshold).astype(float)

    # At the threshold: weighted counts, (r,)
    positives, negatives = (weights @ group for group in (y, 1 - y))
    tp, fp = (weights @ (y_pred * group) for group in (y, 1 - y))

    # At every threshold: the same counts above each distinct probability, (r, distinct)
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(
        np.append(np.diff(p[order]), -1)[: len(p)]
    )  # the last of equal probabilities
    tps, fps = (np.cumsum((weights * group)[:, order], 1)[:, last] for group in (y, 1 - y))
    new_tps = np.diff(tps, prepend=0)
    new_fps = np.diff(fps, prepend=0)

    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity = tp / positives
        specificity = 1 - fp / negatives
        precisions = np.nan_to_num(tps / (tps + fps))
        return {
            "accuracy": (tp + negatives - fp) / (positives + negatives),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": tp / (tp + fp),
            "f1": 2 * tp / (tp + fp + positives),
            "roc_auc": (new_fps * (tps - new_tps / 2)).sum(1) / (positives * negatives),
            "average_precision": (new_tps * precisions).sum(1) / positives,
            "brier_score": weights @ (p - y) ** 2 / (positives + negatives),
        }


def patient_weights(patients, resamples=1000, seed=0):
    """Count how often each image occurs when patients are drawn with replacement.

    The images of one patient are not independent, so they come and go together: the cluster
    bootstrap of Field & Welsh 2007, J. R. Stat. Soc. B 69:369.

    Parameters
    ----------
    patients : array_like, (n,)
        The patient of each image.
    resamples : int
        How many times all patients are drawn anew.
    seed : int
        Seed of the draws.

    Returns
    -------
    ndarray of int, (resamples, n)

    Examples
    --------
    >>> patient_weights(["a", "a", "b"], resamples=2, seed=1).tolist()
    [[1, 1, 1], [2, 2, 0]]
    """
    numbers = np.unique(patients, return_inverse=True)[1]
    count = numbers.max() + 1
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples)[:, numbers]


def percentile_intervals(values, resampled):
    """Put values beside 95% intervals: the 2.5th and 97.5th percentiles of their resamples.

    Efron 1979, Ann. Stat. 7:1. Resamples that are NaN are left out.

    Parameters
    ----------
    values : dict of str to float
        A value for each metric.
    resampled : dict of str to array_like, (r,)
        Its values in r resamples, for the same metrics.

    Returns
    -------
    DataFrame
        A row a metric, with the columns ``value``, ``ci_low`` and ``ci_high``.

    Examples
    --------
    >>> percentile_intervals({"accuracy": 0.8}, {"accuracy": [0.7, 0.75, 0.8, 0.85, 0.9]})
              value  ci_low  ci_high
    accuracy    0.8   0.705    0.895
    """
    ends = pd.DataFrame(resampled).quantile([0.025, 0.975]).set_axis(["ci_low", "ci_high"])
    return ends.T.assign(value=pd.Series(values))[["value", "ci_low", "ci_high"]]


def bootstrap_table(y, p, patients, threshold=0.5, resamples=1000, seed=0):
    """Compute `metrics_at` with 95% percentile intervals from a bootstrap over patients.

    Where accuracy, sensitivity, specificity or precision is exactly 0 or 1, every resample says the
    same and the percentiles would claim certainty. There the interval is Wilson's, over the
    patients in question (not over their images, which are not independent). The other metrics have
    no such remedy: at exactly 0 or 1 their intervals have no width.

    Parameters
    ----------
    y, p, patients : array_like, (n,)
        True label, probability of PNEUMONIA and patient of each image.
    threshold : float
        The smallest probability that is called PNEUMONIA.
    resamples, seed : int
        As in `patient_weights`.

    Returns
    -------
    DataFrame
        A row a metric, with the columns ``value``, ``ci_low`` and ``ci_high``.

    Examples
    --------
    >>> table = bootstrap_table([0, 0, 1, 1], [0.1, 0.7, 0.8, 0.9], ["a", "b", "c", "d"])
    >>> table.loc[["accuracy", "sensitivity"]].round(2)
                 value  ci_low  ci_high
    accuracy      0.75    0.25      1.0
    sensitivity   1.00    0.34      1.0
    """
    weights = patient_weights(patients, resamples, seed)
    resampled = weighted_metrics(y, p, weights, threshold)
    table = percentile_intervals(metrics_at(y, p, threshold), resampled)

    # A proportion without an error, or without a success, in all of its patients
    y = np.asarray(y)
    y_pred = np.asarray(p, float) >= threshold
    groups = {"accuracy": y >= 0, "sensitivity": y == 1, "specificity": y == 0, "precision": y_pred}
    for name, group in groups.items():
        if (value := table.loc[name, "value"]) in (0, 1):
            total = len(np.unique(np.asarray(patients)[group]))
            table.loc[name, ["ci_low", "ci_high"]] = wilson_interval(value * total, total)
    return table


def threshold_for_sensitivity(y, p, sensitivity=0.99):
    """Find the largest threshold that reaches a sensitivity. Choose it on validation images.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels and probabilities of PNEUMONIA.
    sensitivity : float
        The least proportion of PNEUMONIA images that must be called PNEUMONIA, above 0, at most 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If `sensitivity` is not above 0 and at most 1, no image is PNEUMONIA, or
        `check_probabilities` refuses `p`.

    Examples
    --------
    >>> threshold_for_sensitivity([0, 1, 1, 1, 1], [0.9, 0.2, 0.4, 0.6, 0.8], 0.75)
    0.4
    """
    check_probabilities(y, p)
    positives = np.sort(np.asarray(p)[np.asarray(y) == 1])
    if not 0 < sensitivity <= 1 or not len(positives):
        raise ValueError(
            f"A sensitivity is above 0 and at most 1, and needs a PNEUMONIA image: {sensitivity} "
            f"of {len(positives)} images."
        )
    missed = int((1 - sensitivity) * len(positives) + 1e-9)  # at most so many lie below it
    return float(positives[missed])


def wilson_interval(correct, total):
    """Compute the 95% interval of a proportion: Wilson's score interval.

    Wilson 1927, J. Am. Stat. Assoc. 22:209. It takes the cases as independent; several images of
    one patient are not quite, so the right interval is a little wider.

    Parameters
    ----------
    correct, total : int
        How many of how many, as in 38 of 40; at least one case.

    Returns
    -------
    tuple of float
        Its ends, low and high, in [0, 1].

    Examples
    --------
    >>> low, high = wilson_interval(38, 40)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.835 to 0.986
    """
    interval = binomtest(int(correct), int(total)).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def results_table(predictions):
    """Put loss and accuracy of each split beside the figures reported for the reference network.

    Parameters
    ----------
    predictions : dict of str to tuple
        ``(y, p)`` for each split, by its name; `p` comes from the network after its training.

    Returns
    -------
    DataFrame
        A row a split: ``images``, ``loss``, ``accuracy``, ``95% interval`` of the accuracy (str,
        Wilson's), and what was reported, ``reported loss`` and ``reported accuracy``.

    Examples
    --------
    >>> table = results_table({"test": ([0, 1, 1, 1], [0.2, 0.9, 0.9, 0.9])})
    >>> print(table.loc["test", "accuracy"], table.loc["test", "95% interval"])
    1.0 0.510 to 1.000
    """
    rows = {}
    for split, (y, p) in predictions.items():
        n_correct = int(np.trace(confusion(y, p)))
        low, high = wilson_interval(n_correct, len(y))
        rows[split] = {
            "images": len(y),
            "loss": cross_entropy(y, p),
            "accuracy": n_correct / len(y),
            "95% interval": f"{low:.3f} to {high:.3f}",
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")
    return table.join(REFERENCE_RESULTS.add_prefix("reported ")).round(4)


def majority_baseline(y_train, y):
    """Compute the accuracy on `y` of always predicting the more frequent class of `y_train`.

    Parameters
    ----------
    y_train, y : array_like of int
        Labels to learn the class from, and labels to test it on.

    Returns
    -------
    float

    Examples
    --------
    >>> majority_baseline([0, 1, 1], [0, 0, 0, 1])
    0.25
    """
    return float(np.mean(np.asarray(y) == np.bincount(y_train, minlength=2).argmax()))


def most_confident_errors(y, p, count=8):
    """Find the wrong predictions at threshold 0.5, the most confident first.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels and probabilities of PNEUMONIA.
    count : int
        At most so many.

    Returns
    -------
    ndarray of int
        Their rows in `y` and `p`.

    Examples
    --------
    >>> most_confident_errors([0, 0, 1], [0.6, 0.9, 0.8]).tolist()
    [1, 0]
    """
    check_probabilities(y, p)
    margin = np.asarray(p) - 0.5
    wrong = np.flatnonzero((margin >= 0) != np.asarray(y))
    return wrong[np.argsort(-np.abs(margin[wrong]), kind="stable")][:count]


def recall_by_class(y, p):
    """Compute the proportion of each class that is predicted correctly, with Wilson's interval.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels and probabilities of PNEUMONIA; at least one image of each class.

    Returns
    -------
    DataFrame
        A row a class: ``correct``, ``total``, ``recall``, ``ci_low``, ``ci_high``.

    Examples
    --------
    >>> recall_by_class([0, 0, 1, 1], [0.1, 0.7, 0.8, 0.9])["recall"].to_dict()
    {'NORMAL': 0.5, 'PNEUMONIA': 1.0}
    """
    matrix = confusion(y, p)
    table = pd.DataFrame({"correct": np.diag(matrix), "total": matrix.sum(1)}, index=list(CLASSES))
    table["recall"] = table["correct"] / table["total"]
    pairs = zip(table["correct"], table["total"], strict=True)
    table[["ci_low", "ci_high"]] = [wilson_interval(*pair) for pair in pairs]
    return table.round(3)
