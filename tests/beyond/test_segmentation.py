"""The networks that come with the package: what they are, and how well they find what is known."""

import sys

import numpy as np
import pytest

from xraylib.beyond import find_lungs, find_opacity, segmentation, teaching
from xraylib.beyond.segmentation import WEIGHTS, build_finder, load_network
from xraylib.beyond.teaching import draw_teachers
from xraylib.beyond.unet import Crop, LungBox


@pytest.fixture(scope="module")
def others():
    """Phantoms of a seed that has taught nothing."""
    return draw_teachers(60, seed=777)


@pytest.fixture(scope="module")
def X(others):
    return others[..., :1] / np.float32(255)


def dice(p, mask):
    overlap = 2 * (p & mask).sum((1, 2))
    return (overlap / np.maximum(p.sum((1, 2)) + mask.sum((1, 2)), 1)).mean()


def test_the_weights_are_small_and_nothing_is_unpickled():
    assert WEIGHTS.stat().st_size <= 1_000_000
    with np.load(WEIGHTS, allow_pickle=False) as file:
        assert {file[name].dtype for name in file if name != "recipe"} == {np.dtype(np.float16)}


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other Pythons word a tree otherwise")
def test_the_weights_come_from_the_recipe_that_stands_here():
    with np.load(WEIGHTS, allow_pickle=False) as file:
        assert str(file["recipe"]) == teaching.recipe(), "run python -m xraylib teach"


def test_lungs_of_phantoms_are_found(X, others):
    assert dice(find_lungs(X) > 0.5, others[..., 1] > 127) >= 0.95


def test_no_more_than_the_two_largest_areas_are_lungs(monkeypatch):
    maps = np.zeros((1, 1, 32, 32), np.float32)
    maps[..., 2:7, 2:8] = maps[..., 2:7, 20:24] = maps[..., 20, 2:7] = 0.9  # 30, 20, 5 pixels
    monkeypatch.setattr(segmentation, "_maps", lambda X, opacity: maps.copy())
    expected = maps[0].copy()
    expected[:, 20] = 0
    assert np.array_equal(find_lungs(None), expected)


def test_opacities_of_phantoms_are_found(X, others):
    diseased = (others[..., 2] > 127).any((1, 2))
    assert dice(find_opacity(X[diseased]) > 0.5, others[diseased, ..., 2] > 127) >= 0.6


def test_healthy_phantoms_are_marked_less_than_diseased_ones(X, others):
    diseased = (others[..., 2] > 127).any((1, 2))
    marked = np.sort(find_opacity(X).reshape(len(X), -1), 1)[:, -800:].mean(1)
    above = marked[diseased][:, None] > marked[~diseased][None]
    assert above.mean() > 0.95


@pytest.mark.parametrize("size", [28, 45, 128, 200])
def test_maps_have_the_size_of_the_images(size):
    X = np.random.default_rng(0).random((2, size, size, 1), np.float32)
    for maps in (find_lungs(X), find_opacity(X)):
        assert maps.shape == (2, size, size)
        assert maps.dtype == np.float32 and 0 <= maps.min() <= maps.max() <= 1


def test_the_exposure_moves_no_lung(X, others):
    brighter = np.float32(0.2) + np.float32(0.6) * X
    assert dice(find_lungs(brighter) > 0.5, find_lungs(X) > 0.5) > 0.98


def test_no_image_gives_no_map():
    assert find_lungs(np.empty((0, 64, 64, 1), np.float32)).shape == (0, 64, 64)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.zeros((2, 20, 20, 1), np.float32), "28 pixels"),
        (np.zeros((2, 64, 64), np.float32), "shape"),
        (np.full((2, 64, 64, 1), 255, np.float32), r"\[0, 1\]"),
    ],
)
def test_what_is_no_image_is_refused(X, words):
    with pytest.raises(ValueError, match=words):
        find_lungs(X)


def test_a_crop_is_the_same_as_slicing():
    image = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
    crop = Crop(16)([image, np.array([[0.25, 0.5, 0.5, 0.75]], np.float32)]).numpy()
    assert np.allclose(crop, image[:, 32:48, 16:32], atol=1e-5)


def test_a_crop_that_shrinks_is_an_average():
    image = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
    crop = Crop(4)([image, np.array([[0, 1, 0, 1]], np.float32)]).numpy()
    assert crop.std() < 0.15 * image.std() + 0.05
    assert np.isclose(crop.mean(), image.mean(), atol=0.02)


def test_without_lungs_the_box_is_the_whole_image():
    box = LungBox(margin=0.0)(np.zeros((1, 64, 64, 2), np.float32)).numpy()
    assert box.tolist() == [[0, 1, 0, 1]]


def test_a_speck_far_from_the_lungs_does_not_move_the_box():
    lungs = np.zeros((2, 64, 64, 1), np.float32)
    lungs[:, 16:48, 16:48] = 1
    lungs[1, 62, 62] = 1
    box = LungBox(margin=0.0)(lungs).numpy()
    assert np.abs(box[0] - box[1]).max() < 0.02


def test_the_networks_are_frozen():
    assert not load_network("lungs").trainable_weights
    assert not build_finder(28).trainable_weights
