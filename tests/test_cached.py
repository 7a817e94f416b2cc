"""What is made once: found again for the same content only."""

import json

import numpy as np
import pytest

from xraylib import cached
from xraylib.cached import load_arrays, load_trained
from xraylib.files import store
from xraylib.model import predict_proba, train_model
from xraylib.quiet import tf


@pytest.fixture
def preprocessed(monkeypatch):
    """The sizes that were asked of `preprocess_split`, one entry a call."""
    sizes = []
    real = cached.preprocessing.preprocess_split

    def counted(split, size):
        sizes.append(size)
        return real(split, size)

    monkeypatch.setattr(cached.preprocessing, "preprocess_split", counted)
    return sizes


def test_arrays_are_made_once(cache, few_phantoms, preprocessed):
    first = load_arrays(few_phantoms)
    again = load_arrays(few_phantoms)
    assert preprocessed == [28] * 3
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_arrays_are_made_again_for_another_size(cache, few_phantoms, preprocessed):
    load_arrays(few_phantoms)
    assert load_arrays(few_phantoms, 14)[0].shape == (12, 14, 14, 1)
    assert preprocessed == [28] * 3 + [14] * 3


def test_arrays_are_made_again_for_other_images(cache, few_phantoms, preprocessed):
    load_arrays(few_phantoms)
    few_phantoms["test"] = few_phantoms["train"].select(range(6, 12))
    assert len(load_arrays(few_phantoms)[4]) == 6
    assert len(preprocessed) == 6


@pytest.mark.parametrize("module", ["preprocessing", "decoding", "dicom"])
def test_arrays_are_made_again_for_other_code(
    cache, few_phantoms, preprocessed, monkeypatch, tmp_path, module
):
    load_arrays(few_phantoms)
    (tmp_path / "newer.py").write_text("# other code")
    monkeypatch.setattr(getattr(cached, module), "__file__", str(tmp_path / "newer.py"))
    load_arrays(few_phantoms)
    assert len(preprocessed) == 6


def test_no_pickle_is_ever_loaded(cache, few_phantoms):
    load_arrays(few_phantoms)
    (folder,) = cache.glob("arrays-*")
    np.save(folder / "X_train.npy", np.array([{"a": 1}], object), allow_pickle=True)
    manifest = json.loads((folder / store.MANIFEST).read_text())
    manifest["X_train.npy"] = store.sha256(folder / "X_train.npy")
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_arrays(few_phantoms)


@pytest.fixture
def train(cache):
    """`train_model` for one epoch, which counts its calls."""

    def train(X, y, X_validation, y_validation, *, seed=0, verbose=0):
        train.calls += 1
        return train_model(X, y, X_validation, y_validation, epochs=1, seed=seed, verbose=verbose)

    train.calls = 0
    return train


def test_a_cached_network_is_the_one_that_was_trained(train, toy_images):
    first, history = load_trained(train, *toy_images)
    second, again = load_trained(train, *toy_images)
    assert train.calls == 1
    assert history == again
    assert np.array_equal(predict_proba(first, toy_images[0]), predict_proba(second, toy_images[0]))


def test_the_history_tells_how_long_the_training_took(train, toy_images):
    assert load_trained(train, *toy_images)[1]["seconds"][0] > 0


def test_other_arrays_get_another_network(train, toy_images):
    X, *others = toy_images
    load_trained(train, X, *others)
    changed = X.copy()
    changed[0, 0, 0] += 0.01
    load_trained(train, changed, *others)
    assert train.calls == 2


def test_another_seed_gets_another_network_and_the_default_the_same(train, toy_images):
    load_trained(train, *toy_images)
    load_trained(train, *toy_images, seed=0)
    assert train.calls == 1
    load_trained(train, *toy_images, seed=3)
    assert train.calls == 2


def test_what_keras_prints_is_no_part_of_the_network(train, toy_images, capsys):
    load_trained(train, *toy_images, verbose=0)
    load_trained(train, *toy_images, verbose=2)
    assert train.calls == 1


def test_a_stream_is_not_cached(cache, toy_images):
    stream = tf.data.Dataset.from_tensor_slices(toy_images[:2]).batch(8)
    with pytest.raises(TypeError, match="Only a training on arrays"):
        load_trained(train_model, stream, None, *toy_images[2:])


def test_a_function_of_a_notebook_is_not_cached(cache, toy_images):
    names = {}
    exec(compile("def train(*arrays): pass", "ipykernel_1/123.py", "exec"), names)
    with pytest.raises(ValueError, match="write the function into a .py file"):
        load_trained(names["train"], *toy_images)
