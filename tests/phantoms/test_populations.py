"""Adults and varied children: what they are, and that disease tells nothing of the rest."""

import numpy as np
import pytest

from xraylib.phantoms import FURTHER_DISEASES, POPULATIONS, draw_phantom
from xraylib.phantoms.populations import draw_adult, draw_varied_child

FURTHER = ["varied children", "adults"]


@pytest.mark.parametrize("population", FURTHER)
@pytest.mark.parametrize("disease", FURTHER_DISEASES)
def test_each_disease_can_be_drawn_in_each_population(population, disease):
    p = draw_phantom(4, seed=1, disease=disease, population=population)
    assert p.disease == disease and p.label == 1
    assert p.opacity.sum() >= 0.04 * p.lungs.sum()
    assert not (p.opacity & ~p.lungs).any()


@pytest.mark.parametrize("population", FURTHER)
def test_the_same_arguments_draw_the_same(population):
    one, two = (draw_phantom(3, 1, seed=2, population=population) for _ in range(2))
    assert np.array_equal(one.image, two.image) and np.array_equal(one.lungs, two.lungs)


@pytest.mark.parametrize("population", FURTHER)
def test_the_disease_changes_only_what_lies_under_it_and_its_haze(population):
    well, ill = (
        draw_phantom(5, seed=3, disease=d, population=population) for d in (False, "lobar")
    )
    assert np.array_equal(well.lungs, ill.lungs)
    change = np.abs(well.image.astype(int) - ill.image)
    assert change[~ill.lungs].mean() < 4 < change[ill.opacity].mean()


def test_an_adult_is_larger_than_a_child():
    rng = np.random.default_rng(0)
    adults = [draw_adult(rng) for _ in range(20)]
    children = [draw_varied_child(rng) for _ in range(20)]
    for size in ("height", "width", "depth"):
        assert min(getattr(a, size) for a in adults) > max(getattr(c, size) for c in children) * 0.9


def test_about_half_of_the_adults_have_breasts_and_no_child_has():
    rng = np.random.default_rng(1)
    assert 0.3 < np.mean([draw_adult(rng).breasts is not None for _ in range(60)]) < 0.7
    assert all(draw_varied_child(rng).breasts is None for _ in range(20))


def test_another_population_is_refused_with_a_list():
    with pytest.raises(ValueError, match="adults"):
        draw_phantom(0, population="elderly")


def test_a_child_of_today_has_none_of_the_further_diseases():
    with pytest.raises(ValueError, match="ground glass"):
        draw_phantom(0, disease="ground glass")
    assert set(POPULATIONS["children"].diseases) < set(FURTHER_DISEASES)
