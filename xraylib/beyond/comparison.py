"""Which of two networks is better on the same images, and whether chance explains it."""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from xraylib.evaluation import (
    check_probabilities,
    metrics_at,
    patient_weights,
    percentile_intervals,
    weighted_metrics,
)


def difference_interval(y, p_first, p_second, patients, threshold=0.5, resamples=1000, seed=0):
    """Compute how much higher each metric is for a second network than for a first.

    Both networks are evaluated on the same resamples of patients. With only a handful of images on
    which the two disagree, percentiles are not to be trusted: see `mcnemar`.

    Parameters
    ----------
    y, p_first, p_second, patients : array_like, (n,)
        True label, probability of PNEUMONIA by either network, and patient of each image.
    threshold : float
        The smallest probability that is called PNEUMONIA.
    resamples, seed : int
        As in `patient_weights`.

    Returns
    -------
    DataFrame
        A row a metric, with the columns ``value`` (second minus first), ``ci_low`` and ``ci_high``.

    Examples
    --------
    >>> table = difference_interval([0, 0, 1], [0.1, 0.7, 0.8], [0.1, 0.2, 0.8], ["a", "b", "c"])
    >>> table.loc["specificity"].tolist()
    [0.5, 0.0, 1.0]
    """
    weights = patient_weights(patients, resamples, seed)
    first = pd.DataFrame(weighted_metrics(y, p_first, weights, threshold))
    second = pd.DataFrame(weighted_metrics(y, p_second, weights, threshold))
    value_first = pd.Series(metrics_at(y, p_first, threshold))
    value_second = pd.Series(metrics_at(y, p_second, threshold))
    return percentile_intervals(value_second - value_first, second - first)


def mcnemar(y, p_first, p_second, threshold=0.5):
    """Test whether two networks differ in accuracy on the same images: McNemar's exact test.

    Only the images count that one network gets right and the other wrong. Without a difference each
    would favor either with probability 1/2 (McNemar 1947, Psychometrika 12:153). The images are
    taken as independent. Pass the images of one class to compare sensitivity or specificity.

    Parameters
    ----------
    y, p_first, p_second : array_like, (n,)
        True labels, and probabilities of PNEUMONIA by either network.
    threshold : float
        The smallest probability that is called PNEUMONIA.

    Returns
    -------
    Series
        ``only_first`` and ``only_second``, the images that only this network gets right, and the
        two-sided ``p_value``, which is 1 where there are none.

    Raises
    ------
    ValueError
        If an image has no probability by either network.

    Examples
    --------
    >>> mcnemar([0, 0, 0, 0], [0.9, 0.8, 0.7, 0.6], [0.1, 0.1, 0.1, 0.1]).tolist()
    [0.0, 4.0, 0.125]
    """
    for p in (p_first, p_second):
        check_probabilities(y, p)
    calls = (np.asarray(p, float) >= threshold for p in (p_first, p_second))
    first, second = (call == np.asarray(y) for call in calls)
    only_first = int(np.sum(first & ~second))
    only_second = int(np.sum(second & ~first))
    discordant = only_first + only_second
    p_value = binomtest(only_first, discordant).pvalue if discordant else 1.0
    return pd.Series({"only_first": only_first, "only_second": only_second, "p_value": p_value})
