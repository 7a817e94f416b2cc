"""Whether probabilities mean what they say, and temperature scaling where they do not."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from xraylib.evaluation import check_probabilities, cross_entropy, wilson_interval


def reliability(y, p, bins=10):
    """Compare predicted probabilities with observed proportions, in bins of equal width.

    Parameters
    ----------
    y : array_like of int, (n,)
        True labels, 0 for NORMAL and 1 for PNEUMONIA.
    p : array_like of float, (n,)
        Probabilities of PNEUMONIA in [0, 1].
    bins : int
        How many bins [0, 1] is divided into.

    Returns
    -------
    DataFrame
        A row for each bin that is not empty, indexed by its centre: ``predicted``, the mean
        probability; ``observed``, the proportion of PNEUMONIA; ``ci_low`` and ``ci_high``, Wilson's
        95% interval of that; ``images``.

    Raises
    ------
    ValueError
        If an image has no probability.

    Examples
    --------
    >>> table = reliability([0, 1, 1, 1], [0.05, 0.05, 0.95, 1.0])
    >>> table[["predicted", "observed", "images"]].to_dict("index")[0.95]
    {'predicted': 0.975, 'observed': 1.0, 'images': 2}
    """
    check_probabilities(y, p)
    numbers = np.minimum((np.asarray(p) * bins).astype(int), bins - 1)
    table = pd.DataFrame(
        {"predicted": p, "observed": y, "images": 1, "bin": (numbers + 0.5) / bins}
    )
    table = table.groupby("bin").agg({"predicted": "mean", "observed": "mean", "images": "sum"})
    positives = (table["observed"] * table["images"]).round()
    pairs = zip(positives, table["images"], strict=True)
    table[["ci_low", "ci_high"]] = [wilson_interval(*pair) for pair in pairs]
    return table[["predicted", "observed", "ci_low", "ci_high", "images"]]


def calibration_error(y, p, bins=10):
    """Compute the expected calibration error of the probability of PNEUMONIA.

    The mean of ``|predicted - observed|`` over the bins of `reliability`, weighted by their images,
    after Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599, who bin the confidence in the
    predicted class and compare it with the accuracy. It is above 0 by chance alone, the more so the
    fewer the images.

    Parameters
    ----------
    y, p : array_like, (n,)
        As in `reliability`.
    bins : int
        As in `reliability`.

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(calibration_error([0, 1, 1, 1], [0.05, 0.05, 0.95, 1.0]), 4)
    0.2375
    """
    table = reliability(y, p, bins)
    return float(
        np.average((table["predicted"] - table["observed"]).abs(), weights=table["images"])
    )


def log_odds(p):
    """Compute the natural logarithm of ``p / (1 - p)``, the logit.

    Parameters
    ----------
    p : array_like of float
        Probabilities; kept 1e-7 away from 0 and 1.

    Returns
    -------
    ndarray of float
        In the shape of `p`.

    Examples
    --------
    >>> float(log_odds(0.5))
    0.0
    """
    return logit(np.clip(np.asarray(p, float), 1e-7, 1 - 1e-7))


def apply_temperature(p, temperature):
    """Divide the logits of probabilities by a temperature: above 1 they move towards 0.5.

    Parameters
    ----------
    p : array_like of float
        Probabilities in [0, 1].
    temperature : float
        Above 0; 1 changes nothing.

    Returns
    -------
    ndarray of float
        In the shape of `p`.

    Raises
    ------
    ValueError
        If `temperature` is not above 0.

    Examples
    --------
    >>> apply_temperature([0.1, 0.5, 0.9], 2).round(2).tolist()
    [0.25, 0.5, 0.75]
    """
    if not temperature > 0:
        raise ValueError(f"A temperature is above 0, not {temperature}: fit_temperature finds one.")
    return expit(log_odds(p) / temperature)


def fit_temperature(y, p):
    """Find the temperature that makes the cross-entropy smallest. Fit it on validation images.

    Temperature scaling is of Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599.

    Parameters
    ----------
    y, p : array_like, (n,)
        True labels, and probabilities of PNEUMONIA.

    Returns
    -------
    float
        Between 0.1 and 10.

    Examples
    --------
    >>> y = [0, 0, 0, 1]  # one in four, where the network says one in ten
    >>> round(fit_temperature(y, [0.1] * 4), 2)
    2.0
    """

    def loss(log_temperature):
        return cross_entropy(y, apply_temperature(p, np.exp(log_temperature)))

    bounds = (np.log(0.1), np.log(10))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
