"""The numerical tools beneath the phantoms."""

import numpy as np
import pytest

from xraylib.phantoms.fields import block_mean, chord, fractal_noise, smooth_union, upsample


@pytest.mark.parametrize("x, y", [(0, 0), (1.2, -0.7), (2.9, 0.1), (2.5, 1.5)])
def test_chord_is_the_path_through_an_ellipsoid(x, y):
    a, b, c = 3.0, 2.0, 5.0
    z = np.linspace(-c, c, 20001)
    inside = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1
    length = inside.sum() * (z[1] - z[0])
    assert 2 * c * chord(np.float64(x / a), y / b) == pytest.approx(length, abs=2e-3)


def test_a_union_is_at_least_each_of_its_parts():
    x = np.linspace(-3, 3, 50)
    one, other = (x + 0.5) ** 2, (x - 0.5) ** 2
    union = smooth_union(one, other)
    assert (union >= np.maximum(chord(x + 0.5), chord(x - 0.5)) - 1e-9).all()


def test_upsampling_keeps_the_mean():
    a = np.random.default_rng(0).random((8, 8))
    assert upsample(a, 32).mean() == pytest.approx(a.mean())


def test_block_means_are_means():
    a = np.random.default_rng(0).random((8, 8))
    assert block_mean(a, 4) == pytest.approx(a.reshape(2, 4, 2, 4).mean(axis=(1, 3)))


def test_noise_has_no_mean_and_a_deviation_near_one():
    fields = np.stack([fractal_noise(np.random.default_rng(k), 20) for k in range(20)])
    assert abs(fields.mean()) < 0.2
    assert 0.7 < fields.std() < 1.3
