"""Metrics against counting by hand and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from xraylib import evaluation

Y = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
P = np.array([0.1, 0.2, 0.4, 0.9, 0.3, 0.6, 0.7, 0.8, 0.9, 0.9])


@pytest.fixture
def noisy():
    """Labels, rounded probabilities (some are equal) and patients of 150 images."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 150)
    p = np.round(np.clip(y * 0.3 + rng.random(150) * 0.7, 0, 1), 2)
    return y, p, rng.integers(0, 60, 150)


def test_the_confusion_matrix_has_the_true_classes_in_its_rows():
    assert evaluation.confusion(Y, P).tolist() == [[3, 1], [1, 5]]


def test_the_metrics_are_those_counted_by_hand():
    found = evaluation.metrics_at(Y, P)
    by_hand = {"accuracy": 8 / 10, "sensitivity": 5 / 6, "specificity": 3 / 4, "precision": 5 / 6}
    assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)


def test_the_metrics_at_another_threshold_agree_with_scikit_learn(noisy):
    y, p, _ = noisy
    y_pred = p >= 0.3
    found = evaluation.metrics_at(y, p, 0.3)
    theirs = {
        "balanced_accuracy": metrics.balanced_accuracy_score(y, y_pred),
        "f1": metrics.f1_score(y, y_pred),
        "roc_auc": metrics.roc_auc_score(y, p),
    }
    assert {name: found[name] for name in theirs} == pytest.approx(theirs)


def test_the_cross_entropy_is_the_mean_negative_logarithm(noisy):
    y, p, _ = noisy
    p = np.clip(p, 0.01, 0.99)
    expected = -np.log(np.where(y == 1, p, 1 - p)).mean()
    assert evaluation.cross_entropy(y, p) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["specificity", "balanced_accuracy", "roc_auc"])
def test_what_a_missing_class_leaves_undefined_is_nan(name):
    assert np.isnan(evaluation.metrics_at(np.ones(4, int), np.full(4, 0.9))[name])


def test_every_resample_equals_scikit_learn(noisy):
    y, p, patients = noisy
    weights = evaluation.patient_weights(patients, 40, seed=2)
    found = pd.DataFrame(evaluation.weighted_metrics(y, p, weights))
    y_pred = p >= 0.5
    for row, weight in enumerate(weights):
        theirs = {
            "accuracy": metrics.accuracy_score(y, y_pred, sample_weight=weight),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, y_pred, sample_weight=weight),
            "sensitivity": metrics.recall_score(y, y_pred, sample_weight=weight),
            "specificity": metrics.recall_score(y, y_pred, pos_label=0, sample_weight=weight),
            "precision": metrics.precision_score(y, y_pred, sample_weight=weight),
            "f1": metrics.f1_score(y, y_pred, sample_weight=weight),
            "roc_auc": metrics.roc_auc_score(y, p, sample_weight=weight),
            "average_precision": metrics.average_precision_score(y, p, sample_weight=weight),
            "brier_score": metrics.brier_score_loss(y, p, sample_weight=weight),
        }
        assert found.loc[row].to_dict() == pytest.approx(theirs)


def test_the_images_of_a_patient_are_drawn_together():
    weights = evaluation.patient_weights(np.array(["a", "b", "a", "c", "b"]), 200)
    assert np.array_equal(weights[:, [0, 1]], weights[:, [2, 4]])


def test_as_many_patients_are_drawn_as_there_are():
    weights = evaluation.patient_weights(np.array(["a", "b", "a", "c", "b"]), 200)
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()


def test_another_seed_draws_other_patients():
    first, second = (evaluation.patient_weights(np.arange(5), 200, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_the_value_lies_in_its_interval(noisy):
    table = evaluation.bootstrap_table(*noisy)
    assert table["value"].between(table["ci_low"], table["ci_high"]).all()


def test_the_interval_widens_when_the_images_of_a_patient_agree():
    rng = np.random.default_rng(0)
    y = np.repeat(rng.integers(0, 2, 50), 8)
    p = np.repeat(rng.random(50), 8)  # eight images of each patient, all alike
    by_patient = evaluation.bootstrap_table(y, p, np.repeat(np.arange(50), 8)).loc["accuracy"]
    by_image = evaluation.bootstrap_table(y, p, np.arange(400)).loc["accuracy"]
    widths = [table["ci_high"] - table["ci_low"] for table in (by_patient, by_image)]
    assert widths[0] > 2 * widths[1]


def test_a_proportion_of_one_has_wilsons_interval_over_its_patients():
    y = np.array([0] * 6 + [1] * 4)
    p = np.array([0.1] * 6 + [0.9, 0.9, 0.9, 0.2])
    patients = np.array([0, 0, 1, 1, 2, 2, 3, 4, 5, 6])  # six NORMAL images of three patients
    specificity = evaluation.bootstrap_table(y, p, patients).loc["specificity"]
    assert specificity.tolist() == [1, *evaluation.wilson_interval(3, 3)]


def test_an_undefined_metric_has_an_undefined_interval():
    table = evaluation.bootstrap_table(np.ones(4, int), np.full(4, 0.9), np.arange(4))
    assert table.loc["specificity"].isna().all()


def test_the_interval_is_the_formula_of_wilson():
    z, n, p = 1.959964, 40, 38 / 40
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    expected = (middle - half, middle + half)
    assert evaluation.wilson_interval(38, 40) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("sensitivity", [0.5, 0.75, 0.9, 0.99, 1])
def test_the_threshold_reaches_the_sensitivity_and_no_higher_one_does(sensitivity):
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 300), rng.random(300)
    threshold = evaluation.threshold_for_sensitivity(y, p, sensitivity)
    at, above = (
        evaluation.metrics_at(y, p, value)["sensitivity"]
        for value in (threshold, np.nextafter(threshold, 1))
    )
    assert at >= sensitivity > above


def test_the_results_stand_beside_those_of_the_reference_network():
    table = evaluation.results_table({"train": (Y, P), "validation": (Y, P), "test": (Y, 1 - P)})
    assert table["reported accuracy"].tolist() == [0.9738, 0.9614, 0.95]


def test_the_results_begin_with_what_was_measured():
    table = evaluation.results_table({"test": (Y, 1 - P)})
    assert list(table)[:4] == ["images", "loss", "accuracy", "95% interval"]
    assert table.loc["test", ["images", "accuracy"]].tolist() == [10, pytest.approx(0.2)]


def test_the_majority_baseline_knows_only_the_training_labels():
    assert evaluation.majority_baseline(Y, np.array([0, 0, 0, 1])) == 0.25


@pytest.mark.parametrize(("count", "expected"), [(8, [3, 4]), (1, [3])])
def test_the_most_confident_errors_come_first(count, expected):
    assert evaluation.most_confident_errors(Y, P, count).tolist() == expected


def test_perfect_predictions_have_no_errors():
    assert evaluation.most_confident_errors(Y, Y).size == 0


def test_recall_by_class_is_counted_along_the_diagonal():
    table = evaluation.recall_by_class(Y, P)
    assert table[["correct", "total"]].to_numpy().tolist() == [[3, 4], [5, 6]]
    assert table["recall"].tolist() == pytest.approx([0.75, 5 / 6], abs=1e-3)


def test_recall_by_class_lies_in_its_interval():
    table = evaluation.recall_by_class(Y, P)
    assert table["recall"].between(table["ci_low"], table["ci_high"]).all()


@pytest.mark.parametrize(("y", "sensitivity"), [([0, 1], 0), ([0, 1], 99), ([0, 0], 0.9)])
def test_a_sensitivity_that_cannot_be_is_refused(y, sensitivity):
    with pytest.raises(ValueError, match="A sensitivity is above 0"):
        evaluation.threshold_for_sensitivity(y, [0.2, 0.8], sensitivity)


@pytest.mark.parametrize(
    "measure",
    [
        evaluation.metrics_at,
        evaluation.confusion,
        evaluation.threshold_for_sensitivity,
        evaluation.most_confident_errors,
        evaluation.cross_entropy,
    ],
)
@pytest.mark.parametrize(
    ("p", "message"),
    [
        ([0.2, np.nan], "images: 2, probabilities: 1. Leave out the images"),
        ([0.2], "images: 2, probabilities: 1. Leave out the images"),
        ([-3.1, 2], "from -3.1 to 2: turn logits"),
    ],
)
def test_what_is_no_probability_is_refused(measure, p, message):
    with pytest.raises(ValueError, match=message):
        measure([0, 1], p)


def test_a_probability_at_the_threshold_counts_alike_everywhere():
    p = np.float32([0.7, 0.2])  # a little less than 0.7
    table = evaluation.confusion([1, 0], p, 0.7)
    assert table.tolist() == [[1, 0], [1, 0]]
    assert evaluation.metrics_at([1, 0], p, 0.7)["sensitivity"] == 0


def test_no_image_has_no_metrics():
    assert np.isnan(list(evaluation.metrics_at([], []).values())).all()
