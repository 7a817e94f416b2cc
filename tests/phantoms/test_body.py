"""The healthy child: its build, and the attenuation of its tubes."""

import math

import pytest

from xraylib.phantoms.body import ALONG, Tube, draw_child, draw_position
from xraylib.phantoms.fields import GRID, random_stream


def test_a_patient_keeps_its_build():
    assert draw_child(random_stream(0, 1, 0)).height == draw_child(random_stream(0, 1, 0)).height


def test_two_patients_differ_in_build():
    assert draw_child(random_stream(0, 1, 0)).height != draw_child(random_stream(0, 2, 0)).height


@pytest.fixture
def view():
    return draw_position(random_stream(0, 0, 1), draw_child(random_stream(0, 0, 0))).view


def tube_of_10_cm(view, hollow):
    t = 2 * ALONG - 1
    return Tube(view.x0 + 4 * t, view.y0 + 3 * t, radius=0.5, mu=0.3, hollow=hollow)


@pytest.mark.parametrize("hollow", [0.0, 0.6])
def test_a_tube_attenuates_by_mu_times_its_volume(view, hollow):
    attenuation = view.attenuation([tube_of_10_cm(view, hollow)], 40)
    volume = math.pi * 0.5**2 * (1 - hollow**2) * 10
    pixel = view.width * view.height / GRID**2
    assert attenuation.sum() * pixel == pytest.approx(0.3 * volume, rel=0.02)


@pytest.mark.parametrize("hollow", [0.0, 0.6])
def test_on_its_axis_a_tube_attenuates_by_mu_times_the_path(view, hollow):
    attenuation = view.attenuation([tube_of_10_cm(view, hollow)], 40)
    middle = attenuation[GRID // 2 - 1 : GRID // 2 + 1, GRID // 2 - 1 : GRID // 2 + 1].mean()
    assert middle == pytest.approx(0.3 * 2 * 0.5 * (1 - hollow), rel=0.08)
