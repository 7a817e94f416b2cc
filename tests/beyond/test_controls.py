"""Negative controls: each leaves exactly what it says."""

import numpy as np
import pytest

from xraylib.beyond import find_lungs
from xraylib.beyond.controls import border_alone, box_around, gray_level_features, make_controls
from xraylib.beyond.teaching import draw_teachers


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    X = rng.uniform(0.1, 1, (5, 32, 32, 1)).astype(np.float32)
    inside = np.zeros(X.shape, bool)
    for i in range(5):
        inside[i, 6 + i : 20, 4:11] = inside[i, 8:22, 18 : 25 + i] = True
    return X, inside


def test_lungs_and_their_surroundings_make_the_whole_image(images):
    X, inside = images
    controls = make_controls(X, inside)
    assert np.array_equal(controls["lungs"] + controls["without_lungs"], X)
    assert not controls["lungs"][~inside].any() and not controls["without_lungs"][inside].any()
    assert np.array_equal(controls["outline"], inside)


def test_the_box_is_the_smallest_rectangle_around_both_lungs(images):
    X, inside = images
    for i, box in enumerate(box_around(inside)[..., 0]):
        expected = np.zeros((32, 32), bool)
        expected[min(6 + i, 8) : 22, 4 : 25 + i] = True
        assert np.array_equal(box, expected)
    assert np.array_equal(make_controls(X, inside)["without_box"], X * ~box_around(inside))


def test_without_lungs_there_is_no_box():
    assert not box_around(np.zeros((1, 8, 8, 1), bool)).any()


def test_the_border_is_an_eighth_and_the_input_stays(images):
    X, inside = images
    before = X.copy()
    border = border_alone(X)
    assert np.array_equal(X, before)
    assert not border[:, 4:-4, 4:-4].any()
    assert np.array_equal(border[:, :4], X[:, :4]) and np.array_equal(
        border[:, :, -4:], X[:, :, -4:]
    )


def test_the_eight_figures_know_a_brighter_side(images):
    X, _ = images
    X[:, :, :2] = 1  # the left border
    figures = gray_level_features(X)
    assert figures.shape == (5, 8) and (figures[:, 4] == 1).all()
    assert (figures[:, 4] > figures[:, 5]).all()
    assert np.allclose(figures[:, 0], X.mean((1, 2, 3)), atol=1e-6)


def test_lungs_are_found_where_none_are_given():
    X = draw_teachers(8, seed=8)[..., :1] / np.float32(255)
    assert np.array_equal(make_controls(X)["outline"][..., 0], find_lungs(X) >= 0.5)
