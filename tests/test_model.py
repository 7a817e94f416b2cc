"""The reference network: its layers, its training, its probabilities."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xraylib.beyond import train_better_model, train_quick_model
from xraylib.model import build_model, predict_proba, train_model
from xraylib.quiet import keras


@pytest.fixture(scope="module")
def trained(toy_images):
    return train_model(*toy_images, epochs=3, seed=1, verbose=0)


def test_the_network_has_the_reference_layers():
    model = build_model()
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Conv2D", "MaxPooling2D"] * 2 + ["Flatten"] + ["Dense"] * 6
    assert [layer.name for layer in model.layers[-6:]] == ["L1", "L2", "L3", "L4", "L5", "L6"]
    assert [layer.units for layer in model.layers[-6:]] == [256, 128, 64, 32, 16, 2]
    assert model.count_params() == 491_218


def test_the_last_layer_contradicts_the_loss_as_in_the_reference():
    model = build_model()
    assert model.layers[-1].activation is keras.activations.sigmoid
    assert model.loss.get_config()["from_logits"] is True
    assert isinstance(model.optimizer, keras.optimizers.Adam)


def test_the_history_is_a_dict_of_lists(trained):
    history = trained[1]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert {len(values) for values in history.values()} == {3}
    assert history["loss"][-1] < history["loss"][0]


def test_training_is_what_keras_does_in_one_call(toy_images):
    X, y, X_validation, y_validation = toy_images
    keras.utils.set_random_seed(3)
    model = build_model()
    history = model.fit(
        X, y, epochs=2, validation_data=(X_validation, y_validation), verbose=0
    ).history
    assert train_model(*toy_images, epochs=2, seed=3, verbose=0)[1] == history


def test_a_seed_fixes_the_network(toy_images):
    first, again, other = (
        train_model(*toy_images, epochs=1, seed=seed, verbose=0)[0].get_weights()
        for seed in (5, 5, 6)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_probabilities_are_the_softmax_of_the_logits(trained, toy_images):
    model, _ = trained
    X = toy_images[0]
    *_, before, last = model.layers
    features = keras.Model(model.inputs[0], before.output)(X).numpy()
    logits = features @ last.kernel.numpy() + last.bias.numpy()
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(1)
    p = predict_proba(model, X)
    assert (p.shape, p.dtype) == ((64,), np.float32)
    assert np.allclose(p, expected, atol=1e-5)


def test_probabilities_are_those_that_the_loss_trains(trained, toy_images):
    X, y = toy_images[:2]
    p = predict_proba(trained[0], X)
    loss = trained[0].evaluate(X, y, verbose=0)[0]
    assert np.isclose(loss, -np.log(np.where(y == 1, p, 1 - p)).mean(), rtol=1e-3)


def test_a_network_without_a_sigmoid_is_asked_for_its_outputs():
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    X = np.random.default_rng(0).random((3, 2, 2, 1), np.float32)
    logits = model.predict(X, verbose=0)
    assert np.allclose(predict_proba(model, X), 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])))


def test_sigmoids_without_a_bias_are_asked_for_their_logits():
    last = keras.layers.Dense(2, activation="sigmoid", use_bias=False)
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), last])
    X = np.random.default_rng(0).random((3, 2, 2, 1), np.float32)
    odds = [p / (1 - p) for p in model.predict(X, verbose=0).T]
    assert np.allclose(predict_proba(model, X), odds[1] / (odds[0] + odds[1]), atol=1e-6)


@pytest.mark.parametrize(
    "last",
    [
        keras.layers.Softmax(),
        keras.layers.Activation("sigmoid"),
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")]),
    ],
)
def test_a_network_that_hides_its_logits_is_refused(last):
    dense = keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), dense, last])
    with pytest.raises(ValueError, match="takes the softmax itself"):
        predict_proba(model, np.zeros((1, 2, 2, 1), np.float32))


def test_a_functional_network_with_sigmoids_is_asked_for_its_logits():
    inputs = keras.Input((2, 2, 1))
    flat = keras.layers.Flatten()(inputs)
    both = keras.layers.Concatenate()([flat, flat**2])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="sigmoid")(both))
    X = np.random.default_rng(0).random((3, 2, 2, 1), np.float32)
    odds = [p / (1 - p) for p in model.predict(X, verbose=0).T]
    assert np.allclose(predict_proba(model, X), odds[1] / (odds[0] + odds[1]), atol=1e-6)


def test_the_answer_does_not_depend_on_the_batch(trained, toy_images):
    X = np.concatenate([toy_images[0]] * 5)  # more than one batch
    together = predict_proba(trained[0], X)
    alone = [predict_proba(trained[0], X[i : i + 1])[0] for i in range(5)]
    assert np.allclose(alone, together[:5], atol=1e-6)
    assert np.allclose(together[:64], together[256:320], atol=1e-6)


def test_no_image_gets_no_answer(trained):
    assert predict_proba(trained[0], np.empty((0, 28, 28, 1), np.float32)).shape == (0,)


def test_a_wrong_shape_is_named(trained, toy_images):
    with pytest.raises(ValueError, match=r"shape \(n, 28, 28, 1\), not \(64, 28, 28\)"):
        predict_proba(trained[0], toy_images[0][..., 0])


def test_labels_of_another_length_are_named(toy_images):
    X, y, *validation = toy_images
    with pytest.raises(ValueError, match=r"y must have the shape \(64,\)"):
        train_model(X, y[:5], *validation)


def test_gray_levels_up_to_255_are_refused(trained, toy_images):
    X, y, *validation = toy_images
    with pytest.raises(ValueError, match="255"):
        train_model(X * 255, y, *validation)
    with pytest.raises(ValueError, match="255"):
        predict_proba(trained[0], X * 255)


def test_a_stream_trains_as_its_arrays_do_in_that_order(toy_images):
    from xraylib.quiet import tf

    X, y, *validation = toy_images
    batches = tf.data.Dataset.from_tensor_slices((X, y)).batch(32)
    model, history = train_model(batches, None, *validation, epochs=2, verbose=0)
    keras.utils.set_random_seed(0)
    plain = build_model()
    plain.fit(X, y, epochs=2, shuffle=False, verbose=0)
    assert np.allclose(predict_proba(model, X), predict_proba(plain, X), atol=1e-5)


def test_two_devices_train_as_one_does(toy_images, tmp_path):
    np.savez(tmp_path / "arrays.npz", *toy_images)
    program = Path(__file__).parent / "programs" / "two_devices.py"
    command = [sys.executable, program, tmp_path / "arrays.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    weights, probabilities = map(float, done.stdout.splitlines()[-2:])
    assert weights < 1e-3
    assert probabilities < 1e-3


@pytest.mark.parametrize(("units", "activation"), [(2, "softmax"), (1, "sigmoid"), (3, None)])
def test_a_network_without_two_logits_is_refused(units, activation):
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(units, activation=activation)])
    with pytest.raises(ValueError, match="The last layer must have two outputs"):
        predict_proba(model, np.zeros((1, 28, 28, 1)))


@pytest.mark.parametrize("train", [train_model, train_quick_model, train_better_model])
def test_there_is_nothing_to_train_on_in_an_empty_split(toy_images, train):
    X, y, *validation = toy_images
    with pytest.raises(ValueError, match="X has no image"):
        train(X[:0], y[:0], *validation)
