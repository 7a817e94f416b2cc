"""The described network: its layers, its training, its probabilities."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xraylib import store
from xraylib.model import build_model, keras, predict_files, predict_proba, train_model
from xraylib.preprocessing import preprocess_image


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    X = rng.random((64, 28, 28, 1), np.float32) * 0.2
    X[y == 1, 8:20, 8:20] += 0.7  # so plain that one epoch learns something
    return X, y, X[:16], y[:16]


@pytest.fixture(scope="module")
def trained(arrays):
    return train_model(*arrays, epochs=3, seed=1)


def test_the_network_is_the_described_one():
    model = build_model()
    assert model.name == "my_model"
    assert model.count_params() == 491_218
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == ["Conv2D", "MaxPooling2D"] * 2 + ["Flatten"] + ["Dense"] * 6
    assert [layer.name for layer in model.layers[-6:]] == ["L1", "L2", "L3", "L4", "L5", "L6"]
    assert [layer.units for layer in model.layers[-6:]] == [256, 128, 64, 32, 16, 2]
    assert model.layers[-1].activation is keras.activations.sigmoid
    assert model.loss.get_config()["from_logits"] is True
    assert isinstance(model.optimizer, keras.optimizers.Adam)


def test_the_history_is_a_dict_of_lists(trained):
    history = trained[1]
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(values) == 3 and all(type(v) is float for v in values) for values in history.values())
    assert history["loss"][-1] < history["loss"][0]


def test_a_seed_fixes_the_network(arrays):
    weights = [train_model(*arrays, epochs=1, seed=seed)[0].get_weights() for seed in (5, 5, 6)]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][0], weights[2][0])


def test_probabilities_are_the_softmax_that_the_loss_trains(trained, arrays):
    model, _ = trained
    X, y = arrays[:2]
    p = predict_proba(model, X)
    assert (p.shape, p.dtype) == ((64,), np.float32)
    head = keras.Model(model.inputs[0], model.layers[-2].output)(X).numpy() @ model.layers[-1].kernel.numpy()
    logits = head + model.layers[-1].bias.numpy()
    expected = np.exp(logits[:, 1]) / np.exp(logits).sum(1)
    assert np.allclose(p, expected, atol=1e-5)
    loss = model.evaluate(X, y, verbose=0)[0]
    assert np.isclose(loss, -np.log(np.where(y == 1, p, 1 - p)).mean(), rtol=1e-3)


def test_the_answer_does_not_depend_on_the_batch(trained, arrays):
    model, _ = trained
    X = np.concatenate([arrays[0]] * 5)  # more than one batch
    together = predict_proba(model, X)
    assert np.allclose([predict_proba(model, X[i : i + 1])[0] for i in range(5)], together[:5], atol=1e-6)
    assert np.allclose(together[:64], together[256:320], atol=1e-6)
    assert predict_proba(model, X[:0]).shape == (0,)


def test_a_folder_of_files_gives_a_table(trained, tmp_path):
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (50, 40), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{5 - number}.png")
    table = predict_files(trained[0], tmp_path)
    assert [Path(file).name for file in table["file"]] == [f"{number}.png" for number in range(6)]
    alone = [predict_proba(trained[0], preprocess_image(file)[None])[0] for file in table["file"]]
    assert np.allclose(table["probability"], alone, atol=1e-6)
    assert predict_files(trained[0], list(table["file"])[::-1])["probability"].tolist() == pytest.approx(alone[::-1])
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "4.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"(?s)2 images cannot be read.*2\.png.*4\.png"):
        predict_files(trained[0], tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere: nothing to predict"):
        predict_files(trained[0], [tmp_path / "nowhere"])
    with pytest.raises(FileNotFoundError, match="no file is given"):
        predict_files(trained[0], tmp_path / "nowhere")


def test_wrong_shapes_are_named(trained, arrays):
    X, y, *validation = arrays
    with pytest.raises(ValueError, match=r"shape \(n, 28, 28, 1\), not \(64, 28, 28\)"):
        predict_proba(trained[0], X[..., 0])
    with pytest.raises(ValueError, match=r"y must have the shape \(64,\)"):
        train_model(X, y[:5], *validation)


def test_a_kept_network_comes_back_and_only_for_the_same_data(arrays, tmp_path, monkeypatch):
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path))
    calls = []

    def train(*args, **settings):
        calls.append(settings)
        return train_model(*args, **settings)

    X, y, *validation = arrays
    first, history = store.load_trained(train, X, y, *validation, epochs=1)
    second, again = store.load_trained(train, X, y, *validation, epochs=1)
    assert len(calls) == 1
    assert history == again
    assert np.array_equal(predict_proba(first, X), predict_proba(second, X))
    changed = X.copy()
    changed[0, 0, 0] += 0.01
    store.load_trained(train, changed, y, *validation, epochs=1)
    store.load_trained(train, X, y, *validation, epochs=1, seed=3)
    assert len(calls) == 3
