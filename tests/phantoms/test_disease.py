"""The diseases: drawn by lot or on demand, in the lungs and nowhere else."""

import numpy as np
import pytest
from scipy import ndimage

from xraylib.phantoms import (
    DISEASES,
    PROPORTION_DISEASED,
    draw_disease,
    draw_phantom,
    patients_and_images,
)
from xraylib.phantoms.body import MU, draw_child, draw_position
from xraylib.phantoms.disease import filling
from xraylib.phantoms.fields import GRID, random_stream


@pytest.fixture(scope="module", params=list(DISEASES))
def with_and_without(request):
    """Two images that differ in the disease alone, for each disease, of two patients."""
    choices = (request.param, False)
    return [
        tuple(draw_phantom(patient, seed=1, disease=disease) for disease in choices)
        for patient in (2, 8)
    ]


def at_a_quarter(diseased, healthy):
    change = (diseased.image.astype(int) - healthy.image)[::4, ::4]
    return change, diseased.lungs[::4, ::4], diseased.opacity[::4, ::4]


def test_disease_changes_label_and_nothing_of_the_anatomy(with_and_without):
    for diseased, healthy in with_and_without:
        assert (healthy.label, healthy.disease, diseased.label) == (0, "normal", 1)
        assert np.array_equal(healthy.lungs, diseased.lungs)
        assert healthy.file_name == diseased.file_name


def test_an_opacity_is_white(with_and_without):
    for pair in with_and_without:
        change, _, opacity = at_a_quarter(*pair)
        assert change[opacity].mean() > 15


def test_far_from_lung_and_opacity_only_scattered_light_changes(with_and_without):
    for pair in with_and_without:
        change, lungs, opacity = at_a_quarter(*pair)
        to_lung, to_opacity = (4 * ndimage.distance_transform_edt(~m) for m in (lungs, opacity))
        assert np.abs(change[to_lung > 25]).mean() < 0.5
        assert (to_opacity > 250).any() and np.abs(change[to_opacity > 250]).max() <= 2


@pytest.mark.parametrize("patient", range(4))
def test_what_the_lot_draws_can_be_asked_for(patient):
    by_lot = draw_phantom(patient, seed=5)
    asked = draw_phantom(patient, seed=5, disease=bool(by_lot.label))
    assert asked.disease == by_lot.disease and np.array_equal(asked.image, by_lot.image)


def test_true_draws_some_disease():
    assert all(draw_phantom(patient, seed=5, disease=True).label == 1 for patient in range(4))


def test_an_unknown_disease_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="gout.*lobar"):
        draw_phantom(0, disease="gout")


def test_diseases_come_in_their_proportions():
    drawn = [draw_disease(*pair, seed=11) for pair in patients_and_images(1000, seed=11)]
    assert 0.69 < np.mean([disease != "normal" for disease in drawn]) < 0.79
    for disease, proportion in DISEASES.items():
        assert abs(drawn.count(disease) / 1000 - PROPORTION_DISEASED * proportion) < 0.05


@pytest.mark.parametrize("disease", list(DISEASES))
def test_fluid_takes_a_proportion_of_the_lung(disease):
    body = draw_child(random_stream(0, 4, 0))
    view = draw_position(random_stream(0, 4, 1), body).view
    f = filling(np.random.default_rng(1), body, view, disease, 0.8)
    assert f.shape == (GRID, GRID) and f.dtype == np.float32
    assert 0 <= f.min() < f.max() <= 0.97


def test_water_is_denser_than_lung_and_less_than_bone():
    assert MU["lung"] < 0.4 * MU["water"] < MU["water"] < MU["bone"]
