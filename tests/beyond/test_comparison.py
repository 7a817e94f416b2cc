"""Two networks on the same images."""

import numpy as np
import pytest

from xraylib.beyond import comparison
from xraylib.evaluation import metrics_at

RIGHT, WRONG = 0.1, 0.9  # probabilities of PNEUMONIA for a NORMAL image


def test_four_images_all_one_way_are_not_significant():
    result = comparison.mcnemar([0] * 9, [WRONG] * 4 + [RIGHT] * 5, [RIGHT] * 9)
    assert result["p_value"] == pytest.approx(2 * 0.5**4)


def test_images_on_which_both_agree_do_not_count():
    first, second = [RIGHT, WRONG, RIGHT, RIGHT], [WRONG, WRONG, RIGHT, RIGHT]
    result = comparison.mcnemar([0] * 4, first, second)
    assert result[["only_first", "only_second"]].tolist() == [1, 0]


def test_equal_predictions_have_a_p_value_of_one():
    assert comparison.mcnemar([0, 1], [0.2, 0.7], [0.2, 0.7])["p_value"] == 1


def test_a_network_does_not_differ_from_itself():
    table = comparison.difference_interval([0, 0, 1], [0.1, 0.7, 0.8], [0.1, 0.7, 0.8], [0, 1, 2])
    assert (table == 0).all(axis=None)


def test_the_difference_is_second_minus_first():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    first, second = (np.clip(y * gain + rng.random(200) * (1 - gain), 0, 1) for gain in (0.3, 0.5))
    table = comparison.difference_interval(y, first, second, np.arange(200))
    expected = metrics_at(y, second)["accuracy"] - metrics_at(y, first)["accuracy"]
    assert table.loc["accuracy", "value"] == pytest.approx(expected)


def test_a_paired_difference_is_known_better_than_an_unpaired_one():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1], 200)
    first = np.where(rng.random(400) < 0.2, 1 - y, y)
    second = np.where(rng.random(400) < 0.2, 1 - y, y)
    nearly_first = np.where(rng.random(400) < 0.02, 1 - first, first)
    widths = [
        table.loc["accuracy", "ci_high"] - table.loc["accuracy", "ci_low"]
        for table in (
            comparison.difference_interval(y, first, other, np.arange(400))
            for other in (nearly_first, second)
        )
    ]
    assert widths[0] < widths[1] / 2


def test_an_image_without_a_probability_is_refused():
    with pytest.raises(ValueError, match="images: 2, probabilities: 1"):
        comparison.mcnemar([0, 1], [0.2, 0.7], [0.2, np.nan])
