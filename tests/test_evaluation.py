"""Rates against counting by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from xraylib import evaluation

Y = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
P = np.array([0.1, 0.2, 0.4, 0.9, 0.3, 0.6, 0.7, 0.8, 0.9, 0.9])


def test_rates_by_hand():
    found = evaluation.rates(Y, P)
    assert evaluation.confusion(Y, P).tolist() == [[3, 1], [1, 5]]
    assert found["sensitivity"] == pytest.approx(5 / 6)
    assert found["specificity"] == pytest.approx(3 / 4)
    assert found["precision"] == pytest.approx(5 / 6)
    assert found["accuracy"] == pytest.approx(0.8)


def test_rates_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    p = rng.random(200)
    said = p >= 0.3
    found = evaluation.rates(y, p, 0.3)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, said))
    assert found["f1"] == pytest.approx(metrics.f1_score(y, said))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, p))
    assert evaluation.cross_entropy(y, p) == pytest.approx(-np.log(np.where(y == 1, p, 1 - p)).mean())


def test_a_class_that_is_missing_has_no_rate():
    found = evaluation.rates(np.ones(4, int), np.full(4, 0.9))
    assert found["sensitivity"] == 1
    assert np.isnan(found["specificity"])
    assert np.isnan(found["roc_auc"])


def test_the_interval_is_wilsons():
    low, high = evaluation.share_interval(38, 40)  # by the formula of 1927: (p + z²/2n ± z√…) / (1 + z²/n)
    z, n, p = 1.959964, 40, 0.95
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_the_table_stands_beside_the_described_figures():
    table = evaluation.results_table({"train": (Y, P), "validation": (Y, P), "test": (Y, 1 - P)})
    assert table.loc["test", "accuracy"] == pytest.approx(0.2)
    assert table.loc["train", "described loss"] == 0.0728
    assert table.loc["validation", "described accuracy"] == 0.9614
    assert table["images"].tolist() == [10, 10, 10]


def test_the_surest_errors_come_first():
    assert evaluation.most_confident_errors(Y, P).tolist() == [3, 4]
    assert evaluation.most_confident_errors(Y, P, 1).tolist() == [3]
    assert evaluation.most_confident_errors(Y, Y).size == 0


def test_the_majority_baseline_knows_only_the_training_labels():
    assert evaluation.majority_baseline(Y, np.array([0, 0, 0, 1])) == 0.25


def test_rates_by_class_are_the_diagonal():
    table = evaluation.rates_by_class(Y, P)
    assert table.loc["NORMAL", ["right", "of"]].tolist() == [3, 4]
    assert table.loc["PNEUMONIA", "share"] == pytest.approx(5 / 6, abs=1e-3)
    assert (table["from"] < table["share"]).all()
