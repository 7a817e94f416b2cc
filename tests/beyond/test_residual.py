"""The better network: its size, its views, its augmentation, its training."""

import numpy as np
import pytest

from xraylib.beyond.residual import (
    MeanLogits,
    NormalizedViews,
    TestTimeShifts,
    _augmented_batches,
    augment,
    build,
    cutout,
    train_better_model,
)
from xraylib.cached import load_trained
from xraylib.model import predict_proba
from xraylib.quiet import keras


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    y = (np.arange(64) % 4 > 0).astype(int)  # 16 NORMAL, 48 PNEUMONIA
    X = rng.random((64, 28, 28, 1), np.float32) * 0.4 + 0.2
    X[y == 1, 8:20, 8:20] += rng.random((48, 12, 12, 1), np.float32) * 0.4
    return X, y, X[:16], y[:16]


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def trained(arrays, cache_folder):
    """A network and its history, trained and cached."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRAYLIB_CACHE", str(cache_folder))
        return load_trained(train_better_model, *arrays, epochs=2, seed=1)


@pytest.mark.parametrize(
    ("size", "most"), [(28, 350_000), (40, 350_000), (64, 700_000), (96, 700_000)]
)
def test_it_is_small(size, most):
    assert 100_000 < build(size).count_params() <= most


def test_the_standardized_view_does_not_see_the_exposure(arrays):
    X = arrays[0][:5]
    standardized, local = (np.asarray(view) for view in NormalizedViews()(X))
    assert np.allclose(standardized.mean((1, 2, 3)), 0, atol=1e-4)
    assert np.allclose(standardized.std((1, 2, 3)), 1, atol=0.01)
    darker = [np.asarray(view) for view in NormalizedViews()(X * 0.7 + 0.1)]
    assert np.abs(darker[0] - standardized).max() < 0.05
    assert np.corrcoef(darker[1].ravel(), local.ravel())[0, 1] > 0.99


def test_views_are_no_larger_than_they_need_to_be():
    assert [view.shape for view in NormalizedViews()(np.zeros((2, 96, 96, 1), np.float32))] == [
        (2, 64, 64, 1),
        (2, 28, 28, 1),
    ]
    assert [view.shape for view in NormalizedViews()(np.zeros((2, 28, 28, 1), np.float32))] == [
        (2, 28, 28, 1)
    ] * 2


def test_shifts_are_nine_copies_one_pixel_apart(arrays):
    X = arrays[0][:3]
    copies = np.asarray(TestTimeShifts()(X)).reshape(9, 3, 28, 28, 1)
    assert np.array_equal(copies[4], X)
    assert np.array_equal(copies[0][:, 1:, 1:], X[:, :-1, :-1])
    assert np.array_equal(copies[5][:, :, :-1], X[:, :, 1:])


def test_answers_are_combined_as_documented():
    logits = np.random.default_rng(0).normal(size=(9 * 4, 2, 2)).astype(np.float32)
    mean = logits.reshape(9, 4, 2, 2).mean((0, 2))
    combined = np.asarray(MeanLogits(temperature=2.0, offset=0.6)(logits))
    assert np.allclose(combined, mean / 2 + np.array([0.3, -0.3]), atol=1e-6)


def test_augmentation_keeps_images_images(arrays):
    X = arrays[0][:8]
    assert np.allclose(augment(X, np.full((8, 9), 0.5, np.float32)), X, atol=2e-3)
    copies = np.asarray(augment(X, np.random.default_rng(0).random((8, 9), np.float32)))
    assert copies.shape == X.shape
    assert 0 <= copies.min() <= copies.max() <= 1
    assert np.abs(copies - X).mean((1, 2, 3)).min() > 0.01


def test_a_shift_moves_by_its_proportion_of_the_side():
    X = np.zeros((1, 50, 50, 1), np.float32)
    X[0, 20, 20] = 1
    u = np.full((1, 9), 0.5, np.float32)
    u[0, 3] = 1  # to the left by 4% of 50 pixels
    moved = np.asarray(augment(X, u))[0, :, :, 0]
    assert np.unravel_index(moved.argmax(), moved.shape) == (20, 18)


def test_cutout_takes_a_rectangle_from_half_of_the_views():
    views = np.ones((2000, 28, 28, 1), np.float32)
    left = np.asarray(cutout(views, np.random.default_rng(0).random((2000, 5), np.float32)))
    gone = 1 - left.mean((1, 2, 3))
    assert 0.4 < (gone > 0).mean() < 0.5  # half, less the rectangles that lie mostly outside
    assert gone.max() <= 0.4**2 + 0.02


def test_training_gives_a_model_and_a_history(trained, arrays):
    model, history = trained[0], dict(trained[1])
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}
    assert len(history.pop("seconds")) == 1
    assert all(len(values) == 2 and type(values[0]) is float for values in history.values())
    p = predict_proba(model, arrays[0])
    assert (p.shape, p.dtype) == ((64,), np.float32)
    assert ((p > 0) & (p < 1)).all()
    logits = model.predict(arrays[0], verbose=0)
    assert np.allclose(p, np.exp(logits[:, 1]) / np.exp(logits).sum(1), atol=1e-5)


def test_a_seed_fixes_the_training(trained, arrays):
    again = train_better_model(*arrays, epochs=2, seed=1)[1]
    assert again == {name: values for name, values in trained[1].items() if name != "seconds"}


def test_a_seed_fixes_the_initial_weights():
    first, again, other = (build(28, small=True, seed=seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    drawn = [(a, b) for a, b in zip(first, other, strict=True) if a.ndim > 1]
    assert not any(np.array_equal(a, b) for a, b in drawn)


def test_a_seed_fixes_the_augmented_batches(arrays):
    views = NormalizedViews()
    first, again, other = (
        np.asarray(_augmented_batches(*arrays[:2], views, seed)[0](3)[0][0]) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_prior_adjustment_moves_the_log_odds_by_the_prior(trained, arrays):
    again, _ = train_better_model(*arrays, epochs=2, seed=1, prior_adjustment=1)
    half, whole = (np.diff(m.predict(arrays[0], verbose=0))[:, 0] for m in (trained[0], again))
    assert np.allclose(half - whole, 0.5 * np.log(48 / 16), atol=1e-3)


def test_it_is_cached_and_comes_back(trained, arrays, cache_folder, monkeypatch):
    monkeypatch.setenv("XRAYLIB_CACHE", str(cache_folder))
    assert len(list(cache_folder.glob("train_better_model-*"))) == 1
    again, history = load_trained(train_better_model, *arrays, epochs=2, seed=1)
    assert history == trained[1]
    assert history["seconds"][0] > 0
    assert np.array_equal(predict_proba(again, arrays[0]), predict_proba(trained[0], arrays[0]))
    assert again.count_params() == build(28, small=True).count_params()


def test_other_sizes_and_wrong_ones(arrays):
    X, y, *_ = arrays
    large = np.repeat(np.repeat(X, 2, 1), 2, 2)
    model, _ = train_better_model(large[:32], y[:32], large[:8], y[:8], epochs=1, small=False)
    assert model.count_params() == build(56).count_params() > build(56, small=True).count_params()
    assert predict_proba(model, large[:3]).shape == (3,)
    with pytest.raises(ValueError, match=r"shape \(n, 56, 56, 1\)"):
        predict_proba(model, X)
    with pytest.raises(ValueError, match="28 to 96 pixels, not 20"):
        train_better_model(X[:, :20, :20], y, X[:, :20, :20], y)
    with pytest.raises(ValueError, match=r"shape \(n, 28, 28, 1\)"):
        train_better_model(X, y, large, y)


def test_no_layer_needs_code_from_the_file(trained, tmp_path):
    trained[0].save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.count_params() == trained[0].count_params()
