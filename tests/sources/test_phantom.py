"""Phantoms as a source: drawn once, the same as the generator draws."""

import numpy as np
import pytest

from xraylib import data
from xraylib.phantoms import draw_phantom
from xraylib.sources import phantom
from xraylib.sources.catalogue import SOURCES


def test_the_default_phantoms_have_the_sizes_of_the_catalogue(phantoms):
    sizes = {name: len(split) for name, split in phantoms.items()}
    assert sizes == SOURCES["phantom"].sizes


def test_about_three_of_four_show_disease(phantoms):
    assert 0.65 < np.mean(phantoms["train"]["label"]) < 0.85


def test_a_row_is_what_the_generator_draws(phantoms):
    row = phantoms["test"][0]
    patient, image_number = (int(number) for number in row["file_name"][7:-4].split("-"))
    drawn = draw_phantom(patient, image_number)
    assert drawn.file_name == row["file_name"]
    assert drawn.label == row["label"]
    assert np.abs(np.asarray(row["image"], float) - drawn.image).mean() < 3  # JPEG nearly keeps it


def test_phantoms_are_drawn_once(cache, monkeypatch):
    first = phantom.prepare({"test": 6})
    monkeypatch.setattr(phantom.phantoms, "jpeg_files", None)
    assert phantom.prepare({"test": 6}) == first


def test_another_seed_draws_other_phantoms(cache):
    first, other = (data.load_phantoms({"test": 6}, seed)["test"] for seed in (0, 1))
    assert not np.array_equal(first[0]["image"], other[0]["image"])


def test_the_order_of_the_splits_is_part_of_what_is_drawn(cache):
    first, other = (
        phantom.prepare({"train": 6, "test": 8}),
        phantom.prepare({"test": 8, "train": 6}),
    )
    assert first != other


def test_an_unknown_split_is_refused_before_anything_is_drawn(cache):
    with pytest.raises(ValueError, match="'foo' is no split"):
        data.load_phantoms({"foo": 2})
    assert not cache.exists()


@pytest.mark.parametrize("size", [-1, 0, 2.5, "8"])
def test_a_number_of_phantoms_that_cannot_be_is_refused(cache, size):
    with pytest.raises(ValueError, match=f"test: {size} phantoms cannot be drawn"):
        data.load_phantoms({"train": 8, "test": size})
    assert not cache.exists()


def test_too_few_phantoms_for_both_classes_are_an_error(cache):
    with pytest.raises(ValueError, match="test: too few phantoms, none is NORMAL"):
        data.load_phantoms({"test": 1})


def test_one_split_alone_can_be_described(cache):
    only = data.load_phantoms({"test": 6})
    assert "Images: 6 (test)" in data.describe(only)
    assert data.is_synthetic(only)
