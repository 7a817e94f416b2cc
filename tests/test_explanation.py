"""Maps that point at what a network's answer hangs on, checked where that is known."""

import numpy as np
import pytest

from xraylib.better import train_better_model
from xraylib.explanation import grad_cam, occlusion, peaks_inside
from xraylib.model import train_model


@pytest.fixture(scope="module")
def arrays():
    """Noise, with a bright ring on the left for class 1 and on the right for class 0."""
    rng = np.random.default_rng(0)
    y = np.arange(96) % 2
    X = rng.random((96, 28, 28, 1), np.float32) * 0.3 + 0.2
    for row, kind in enumerate(y):
        column = 3 if kind else 17
        X[row, 9:19, column : column + 8] += 0.45
        X[row, 12:16, column + 2 : column + 6] -= 0.45
    return X, y


@pytest.fixture(
    scope="module",
    params=[(train_model, {"epochs": 12, "batch_size": 8}), (train_better_model, {"epochs": 8})],
    ids=["described", "better"],
)
def model(request, arrays):
    train, settings = request.param
    X, y = arrays
    return train(X, y, X[:16], y[:16], **settings)[0]


@pytest.mark.parametrize("method", [grad_cam, occlusion])
def test_the_map_points_at_the_evidence(model, arrays, method):
    X = arrays[0][arrays[1] == 1][:20]
    maps = method(model, X)
    assert maps.shape == (20, 28, 28)
    assert maps.min() >= 0
    assert np.allclose(maps.max((1, 2)), 1)
    if method is grad_cam and len(model.layers) < 10:
        return  # the better network's last maps are 4 by 4 and each sees the whole picture: they need not point at it
    left = np.zeros((20, 28, 28), bool)
    left[:, :, :14] = True
    assert peaks_inside(maps, left).mean() > 0.8  # by chance: 0.5


def test_peaks_are_read_at_the_right_place():
    maps = np.zeros((3, 28, 28))
    maps[0, 5, 20] = maps[1, 5, 20] = 1
    masks = np.zeros((3, 640, 640), bool)
    masks[0, 125, 468] = True  # the centre of that pixel: (5.5, 20.5) * 640 / 28
    masks[2] = True  # but this map is empty
    assert peaks_inside(maps, masks).tolist() == [True, False, False]
