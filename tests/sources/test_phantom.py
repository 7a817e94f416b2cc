"""Phantoms as a source: drawn once, the same as the generator draws."""

import numpy as np

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
