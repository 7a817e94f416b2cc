"""The robust network: its experts, and what it does not know."""

from functools import partial

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit

from xraylib.beyond import predict_files, residual, robust, train_robust_model, unfamiliarity
from xraylib.beyond.elsewhere import parts_of
from xraylib.beyond.residual import build
from xraylib.beyond.robust import Choose, any_framed, build_looking, resize
from xraylib.model import build_model, predict_proba
from xraylib.phantoms import draw_phantom
from xraylib.quiet import keras


@pytest.fixture(scope="module")
def arrays():
    children = [draw_phantom(number, seed=9, population="varied children") for number in range(90)]
    X = resize(np.stack([child.image for child in children])[..., None] / np.float32(255), 48)
    y = np.array([child.opacity.any() for child in children], int)
    by_class = np.argsort(y[:50], kind="stable")  # as splits are
    return X[by_class], y[by_class], X[50:], y[50:]


@pytest.fixture(scope="module")
def framed():
    """Rows of the training images that training takes in other framings."""
    return []


def build_flat(size, small, seed):
    """What the home experts are here: to trace three residual networks takes most of a minute."""
    views = [keras.Input((size, size, 1)) for _ in range(2)]
    logits = [keras.layers.Dense(2)(keras.layers.Flatten()(view)) for view in views]
    return keras.Model(views, keras.ops.stack(logits, 1))


@pytest.fixture(scope="module")
def trained(arrays, framed):
    def recorded(X, seed):
        framed.extend(row for row, x in enumerate(arrays[0]) for z in X if (x == z).all())
        return any_framed(X, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robust, "any_framed", recorded)
        patch.setattr(residual, "build", build_flat)
        patch.setattr(robust, "teach_insertion", partial(robust.teach_insertion, epochs=2))
        return train_robust_model(*arrays, epochs=2, phantoms=16)


@pytest.fixture(scope="module")
def model(trained):
    return trained[0]


@pytest.fixture(scope="module")
def p(model, arrays):
    return predict_proba(model, arrays[2])


@pytest.fixture(scope="module")
def u(model, arrays):
    return unfamiliarity(model, arrays[2])


def test_it_gives_a_history_and_probabilities(trained, p):
    assert p.shape == (40,) and 0 <= p.min() < p.max() <= 1
    assert len(trained[1]["val_loss"]) == 2


def test_it_is_saved_and_loaded_without_code_from_the_file(model, arrays, p, u, tmp_path):
    model.save(tmp_path / "robust.keras")
    loaded = keras.saving.load_model(tmp_path / "robust.keras", safe_mode=True)
    assert np.array_equal(predict_proba(loaded, arrays[2]), p)
    assert np.array_equal(unfamiliarity(loaded, arrays[2]), u)


@pytest.mark.parametrize("size", [28, 48, 128])
def test_it_has_at_most_a_million_parameters(size):
    looking = build_looking(size)
    crop, whole, _, (_, features) = looking.output_shape
    assert crop == whole == (None, 28, 28, 1)
    experts = build(28).count_params() + 2 * build(28, small=True).count_params()
    assert looking.count_params() + experts + 3 * features < 1_000_000


def test_one_validation_image_of_a_hundred_is_unfamiliar(u):
    assert u.shape == (40,) and u.dtype == np.float32 and u.min() >= 0
    assert (u > 1).sum() == 1


def test_a_sample_of_the_training_images_is_unfamiliar_in_other_framings(trained, arrays, framed):
    assert len(set(framed)) == len(framed) == 32
    assert max(framed) >= 32  # not the first
    assert set(arrays[1][framed]) == {0, 1}


def test_what_is_no_radiograph_is_unfamiliar(model, arrays, u):
    rng = np.random.default_rng(0)
    noise = rng.random((5, 48, 48, 1), np.float32)
    inverted = 1 - arrays[2][:5]
    on_their_sides = np.rot90(arrays[2][:5], 1, (1, 2))
    unfamiliar = unfamiliarity(model, np.concatenate([noise, inverted, on_their_sides]))
    assert (np.median(unfamiliar.reshape(3, 5), 1) > np.median(u)).all()


def test_the_more_unfamiliar_an_image_is_the_less_the_home_experts_count():
    choose = Choose(at_home=[2.0, -1.0], elsewhere=[3.0, 0.5])
    home = np.array([[0.0, 5.0]] * 4, np.float32)
    unfamiliar = np.array([0.0, 0.5, 1.0, 7.0], np.float32)
    logits = choose([home, np.ones(4, np.float32), unfamiliar]).numpy()
    familiar, phantoms = 2 * 5 - 1, 3 * 1 + 0.5
    at_half, refused = 0.6 * familiar + 0.4 * phantoms, 0.2 * familiar + 0.8 * phantoms
    expected = [familiar, at_half, refused, refused]
    assert np.allclose(logits[:, 1] - logits[:, 0], expected)


def test_its_parts_are_those_that_it_answers_with(model, arrays, p, u):
    parts = parts_of(model, arrays[2])
    assert np.allclose(parts["robust"], p, atol=1e-6)
    assert np.array_equal(parts["unfamiliar"], np.minimum(u, 999))
    home, unets = (logit(parts[name].astype(float)) for name in ("home", "unets"))
    weight = 0.8 * np.minimum(parts["unfamiliar"], 1)
    log_odds = (1 - weight) * home + weight * unets
    assert np.allclose(expit(log_odds), parts["robust"], atol=1e-4)


@pytest.fixture
def files(arrays, tmp_path):
    for number, x in enumerate(arrays[2][:4]):
        Image.fromarray(np.uint8(255 * x[..., 0])).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_table_of_files_says_which_are_unfamiliar(model, files, u):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    Image.fromarray(noise).save(files / "noise.png")
    table = predict_files(model, files)
    assert list(table) == ["file", "probability", "unfamiliar"]
    assert table["unfamiliar"].tolist() == [*(u[:4] > 1), True]


def test_a_table_of_another_network_has_no_such_column(files):
    assert list(predict_files(build_model(), files)) == ["file", "probability"]


def test_no_image_is_asked_about(model):
    assert unfamiliarity(model, np.empty((0, 48, 48, 1), np.float32)).shape == (0,)


def test_another_network_does_not_know_what_is_unfamiliar():
    with pytest.raises(ValueError, match="train_robust_model"):
        unfamiliarity(build_model(), np.zeros((1, 28, 28, 1), np.float32))


def test_the_network_asks_the_unet_that_went_on_learning(model, arrays):
    asked = keras.Model(model.input, model.get_layer("choose").input[1])
    shipped = build_looking(48)(arrays[2][:8])[2].numpy()
    assert np.abs(asked(arrays[2][:8]).numpy() - shipped).max() > 1e-3


def test_validation_images_of_one_class_are_refused_at_once(arrays):
    X, y, X_validation, y_validation = arrays
    with pytest.raises(ValueError, match="validation images of both classes"):
        train_robust_model(X, y, X_validation, np.zeros_like(y_validation))


def test_without_a_normal_image_nothing_is_trained():
    X, y = np.zeros((4, 28, 28, 1), np.float32), np.ones(4, int)
    with pytest.raises(ValueError, match="NORMAL"):
        train_robust_model(X, y, X, y)


@pytest.mark.parametrize("size", [20, 129])
def test_too_small_and_too_large_images_are_refused(size):
    X = np.zeros((4, size, size, 1), np.float32)
    with pytest.raises(ValueError, match="28 to 128 pixels"):
        train_robust_model(X, np.arange(4) % 2, X, np.arange(4) % 2)
