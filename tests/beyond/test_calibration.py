"""Reliability by hand, and temperatures that are known."""

import numpy as np
import pytest

from xraylib.beyond import calibration
from xraylib.evaluation import wilson_interval

Y = np.array([0, 1, 1, 1])
P = np.array([0.05, 0.05, 0.95, 1.0])


@pytest.fixture
def overconfident():
    """20,000 labels, the probabilities they were drawn with, and these at temperature 0.5."""
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    return y, p, calibration.apply_temperature(p, 0.5)


def test_reliability_is_the_mean_of_each_bin():
    table = calibration.reliability(Y, P)[["predicted", "observed", "images"]]
    assert table.to_numpy().tolist() == [[0.05, 0.5, 2], [0.975, 1, 2]]


def test_reliability_has_wilsons_interval_in_each_bin():
    ends = calibration.reliability(Y, P)[["ci_low", "ci_high"]].to_numpy()
    assert ends == pytest.approx(np.array([wilson_interval(1, 2), wilson_interval(2, 2)]))


def test_reliability_needs_a_probability_of_each_image():
    with pytest.raises(ValueError, match="images: 4, probabilities: 3. Leave out the images"):
        calibration.reliability(Y, [0.05, 0.05, 0.95, np.nan])


def test_the_calibration_error_weights_bins_by_their_images():
    assert calibration.calibration_error(Y, P) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)


def test_the_log_odds_of_certainty_are_finite():
    assert np.isfinite(calibration.log_odds([0, 1])).all()


def test_a_known_temperature_is_found_again(overconfident):
    y, _, too_sure = overconfident
    assert calibration.fit_temperature(y, too_sure) == pytest.approx(2, abs=0.1)


def test_a_temperature_undoes_its_inverse(overconfident):
    _, p, too_sure = overconfident  # what was clipped near 0 and 1 does not come back
    assert calibration.apply_temperature(too_sure, 2) == pytest.approx(p, abs=1e-3)


def test_the_right_temperature_lowers_the_calibration_error(overconfident):
    y, _, too_sure = overconfident
    fixed = calibration.apply_temperature(too_sure, 2)
    errors = [calibration.calibration_error(y, p) for p in (fixed, too_sure)]
    assert errors[0] < 0.02 < errors[1]


@pytest.mark.parametrize("temperature", [0, -1, np.nan])
def test_what_is_no_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match="A temperature is above 0, not"):
        calibration.apply_temperature([0.2, 0.8], temperature)
