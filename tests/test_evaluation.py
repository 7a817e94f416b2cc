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


def test_every_resample_equals_scikit_learn():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 150)
    p = np.round(np.clip(y * 0.3 + rng.random(150) * 0.7, 0, 1), 2)  # rounded: equal probabilities must be handled
    weights = evaluation.patient_weights(rng.integers(0, 60, 150), 40, seed=2)
    found = evaluation.weighted_rates(y, p, weights, 0.5)
    said = p >= 0.5
    for row, weight in enumerate(weights):
        theirs = {
            "accuracy": metrics.accuracy_score(y, said, sample_weight=weight),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, said, sample_weight=weight),
            "sensitivity": metrics.recall_score(y, said, sample_weight=weight),
            "specificity": metrics.recall_score(y, said, pos_label=0, sample_weight=weight),
            "precision": metrics.precision_score(y, said, sample_weight=weight),
            "f1": metrics.f1_score(y, said, sample_weight=weight),
            "roc_auc": metrics.roc_auc_score(y, p, sample_weight=weight),
            "average_precision": metrics.average_precision_score(y, p, sample_weight=weight),
            "brier_score": metrics.brier_score_loss(y, p, sample_weight=weight),
        }
        assert {name: values[row] for name, values in found.items()} == pytest.approx(theirs)


def test_patients_are_drawn_whole():
    patients = np.array(["a", "b", "a", "c", "b"])
    weights = evaluation.patient_weights(patients, 200, seed=0)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert not np.array_equal(weights, evaluation.patient_weights(patients, 200, seed=1))


def test_the_interval_widens_when_images_of_a_patient_agree():
    rng = np.random.default_rng(0)
    y = np.repeat(rng.integers(0, 2, 50), 8)
    p = np.repeat(rng.random(50), 8)  # eight pictures of each patient, all alike
    by_patient = evaluation.bootstrap_table(y, p, np.repeat(np.arange(50), 8)).loc["accuracy"]
    by_image = evaluation.bootstrap_table(y, p, np.arange(400)).loc["accuracy"]
    assert by_patient["from"] <= by_patient["value"] <= by_patient["to"]
    assert by_patient["to"] - by_patient["from"] > 2 * (by_image["to"] - by_image["from"])


def test_the_threshold_reaches_the_sensitivity_and_no_higher_one_does():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 300), rng.random(300)
    threshold = evaluation.threshold_for_sensitivity(y, p, 0.9)
    assert evaluation.rates(y, p, threshold)["sensitivity"] >= 0.9
    assert evaluation.rates(y, p, np.nextafter(threshold, 1))["sensitivity"] < 0.9


def test_a_temperature_is_found_again():
    rng = np.random.default_rng(0)
    true = rng.random(20_000)
    y = (rng.random(20_000) < true).astype(int)
    too_sure = evaluation.apply_temperature(true, 0.5)
    assert evaluation.fit_temperature(y, too_sure) == pytest.approx(2, abs=0.1)
    mended = evaluation.apply_temperature(too_sure, 2)
    assert np.allclose(mended, true, atol=1e-3)  # what was clipped near 0 and 1 does not come back
    assert evaluation.calibration_error(y, mended) < 0.02 < evaluation.calibration_error(y, too_sure)


def test_reliability_by_hand():
    table = evaluation.reliability(np.array([0, 1, 1, 1]), np.array([0.05, 0.05, 0.95, 1.0]))
    assert table.to_numpy().tolist() == [[0.05, 0.5, 2], [0.975, 1, 2]]
    assert evaluation.calibration_error(np.array([0, 1, 1, 1]), np.array([0.05, 0.05, 0.95, 1.0])) == pytest.approx(
        0.2375
    )


def test_the_nearest_picture_is_found_in_spite_of_exposure():
    X = np.random.default_rng(0).random((20, 8, 8, 1))
    rows, correlations = evaluation.nearest(0.3 + 0.5 * X[[7, 3]], X)
    assert rows.tolist() == [7, 3]
    assert correlations == pytest.approx(1, abs=1e-4)
