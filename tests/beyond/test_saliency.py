"""Maps that point at what a network's answer depends on, checked where that is known."""

import numpy as np
import pytest

from xraylib.beyond import grad_cam, occlusion, peaks_inside, train_better_model
from xraylib.beyond.robust import Unfamiliarity
from xraylib.model import build_model, predict_proba, train_model
from xraylib.quiet import keras


@pytest.fixture(scope="module")
def rings():
    """Noise, with a bright ring on the left for class 1 and on the right for class 0."""
    rng = np.random.default_rng(0)
    y = np.arange(96) % 2
    X = rng.random((96, 28, 28, 1), np.float32) * 0.3 + 0.2
    for row, label in enumerate(y):
        column = 3 if label else 17
        X[row, 9:19, column : column + 8] += 0.45
        X[row, 12:16, column + 2 : column + 6] -= 0.45
    return np.clip(X, 0, 1), y


@pytest.fixture(scope="module")
def reference(rings):
    X, y = rings
    return train_model(X, y, X[:16], y[:16], epochs=12, batch_size=8, verbose=0)[0]


@pytest.fixture(scope="module")
def better(rings):
    X, y = rings
    return train_better_model(X, y, X[:16], y[:16], epochs=8)[0]


def positives(rings):
    X, y = rings
    return X[y == 1][:20]


def proportion_on_the_left(maps):
    left = np.zeros((20, 28, 28), bool)
    left[:, :, :14] = True
    return peaks_inside(maps, left).mean()


@pytest.mark.parametrize("name", ["reference", "better"])
@pytest.mark.parametrize("method", [grad_cam, occlusion])
def test_maps_are_scaled_to_a_maximum_of_one(request, rings, name, method):
    maps = method(request.getfixturevalue(name), positives(rings))
    assert maps.shape == (20, 28, 28)
    assert maps.min() >= 0
    assert np.allclose(maps.max((1, 2)), 1)


@pytest.mark.parametrize("method", [grad_cam, occlusion])
def test_maps_of_the_reference_network_point_at_the_evidence(reference, rings, method):
    assert proportion_on_the_left(method(reference, positives(rings))) > 0.8  # by chance: 0.5


def test_occlusion_maps_of_the_better_network_point_at_the_evidence(better, rings):
    # Its last feature maps are 4 by 4 and each sees the whole image: Grad-CAM need not point at it.
    assert proportion_on_the_left(occlusion(better, positives(rings))) > 0.8


def test_a_network_that_is_all_but_certain_still_has_maps(reference, rings):
    X = positives(rings)
    assert predict_proba(reference, X).min() > 1 - 1e-6  # rounding would hide a fall of this
    assert occlusion(reference, X).max((1, 2)).min() == 1


def test_peaks_are_read_at_the_right_place():
    maps = np.zeros((2, 28, 28))
    maps[:, 5, 20] = 1
    masks = np.zeros((2, 640, 640), bool)
    masks[0, 125, 468] = True  # the centre of that pixel: (5.5, 20.5) * 640 / 28
    assert peaks_inside(maps, masks).tolist() == [True, False]


def test_an_empty_map_points_nowhere():
    assert peaks_inside(np.zeros((1, 28, 28)), np.ones((1, 64, 64), bool)).tolist() == [False]


def test_occlusion_covers_the_last_row_and_column():
    """A network that adds up all pixels, and an image that is bright in its last row alone."""
    inputs = keras.Input((28, 28, 1))
    total = keras.layers.Dense(2, use_bias=False)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, total)
    model.set_weights([np.stack([np.zeros(784), np.ones(784)], 1)])
    X = np.zeros((1, 28, 28, 1), np.float32)
    X[:, 27] = 1
    assert occlusion(model, X)[0, 27].max() == 1


@pytest.mark.parametrize("method", [grad_cam, occlusion])
def test_maps_of_what_is_no_image_are_refused(method):
    with pytest.raises(ValueError, match=r"X must lie in \[0, 1\]: divide"):
        method(build_model(), np.full((1, 28, 28, 1), 255, np.float32))


@pytest.mark.parametrize(
    ("patch", "step"), [(2, 7), (1, None), (29, 7), (7, -1), (0, None), (7, 0)]
)
def test_patches_that_leave_pixels_out_are_refused(patch, step):
    with pytest.raises(ValueError, match="does not cover 28 pixels: give a step of at most"):
        occlusion(build_model(), np.zeros((1, 28, 28, 1), np.float32), patch, step)


def test_the_robust_network_is_for_occlusion_alone():
    model = keras.Sequential([keras.Input((4,)), Unfamiliarity()])
    with pytest.raises(ValueError, match="use occlusion"):
        grad_cam(model, np.zeros((1, 28, 28, 1), np.float32))
