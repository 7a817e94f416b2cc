"""Training that is interrupted ends with the weights of one that was not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xraylib.beyond import training
from xraylib.beyond.training import fit_resumable, shuffled_rows
from xraylib.cached import load_trained
from xraylib.files.store import atomic_write
from xraylib.quiet import keras, tf

PROGRAM = Path(__file__).parents[1] / "programs" / "interrupted.py"


def train(X, y, X_validation, y_validation, *, seed=0, epochs=4, checkpoint_dir=None):
    """A small network trained as the better one is."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    rows = shuffled_rows(len(X), 16, 4, seed)
    images, labels = tf.constant(X), tf.constant(y)

    def batch_of(step):
        return tf.gather(images, rows(step)), tf.gather(labels, rows(step))

    history = fit_resumable(
        model,
        batch_of,
        steps=4,
        epochs=epochs,
        checkpoint_dir=checkpoint_dir,
        validation_data=(X_validation, y_validation),
    )
    return model, history


@pytest.fixture(scope="module")
def whole(toy_images):
    return train(*toy_images)


def same(first, second):
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture
def interrupted(toy_images, tmp_path, monkeypatch):
    """The folder of a training that was stopped, as by Ctrl-C, after its second epoch."""
    epochs = []

    def write(*args):
        atomic_write(*args)
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "atomic_write", write)
        with pytest.raises(KeyboardInterrupt):
            train(*toy_images, checkpoint_dir=tmp_path)
    return tmp_path


def test_an_interrupted_training_ends_with_the_same_weights(toy_images, whole, interrupted):
    assert same(train(*toy_images, checkpoint_dir=interrupted)[0], whole[0])


def test_an_interrupted_training_keeps_its_history(toy_images, whole, interrupted):
    assert train(*toy_images, checkpoint_dir=interrupted)[1] == whole[1]


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "packing"])
def test_a_damaged_state_begins_again_with_a_word(toy_images, whole, interrupted, damage, capsys):
    state = interrupted / training.STATE
    content = state.read_bytes()
    if damage == "foreign":
        history = np.array('{"loss": [0.1]}')
        np.savez(state, history=history, **{f"{number:04}": np.zeros(3) for number in range(99)})
    elif damage == "packing":
        method = content.index(b"PK\x01\x02") + 10  # how the first array is packed
        state.write_bytes(content[:method] + b"\xff\xff" + content[method + 2 :])
    else:
        state.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    assert same(train(*toy_images, checkpoint_dir=interrupted)[0], whole[0])
    assert "training begins again" in capsys.readouterr().out


@pytest.mark.parametrize("moment", ["in an epoch", "while saving"])
def test_a_killed_training_goes_on_in_the_next_process(cache, tmp_path, moment):
    with subprocess.Popen(
        [sys.executable, PROGRAM, moment, tmp_path / "weights.npz"],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        lines = [child.stdout.readline() for _ in range(2)]
        child.kill()
    assert lines == ["an epoch is saved\n", f"now {moment}\n"]
    assert not list(cache.glob("train-*"))
    command = [sys.executable, PROGRAM, "to the end", tmp_path / "weights.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.count("an epoch is saved") == 3  # of four: the first was there
    alone = [sys.executable, PROGRAM, "to the end", tmp_path / "alone.npz"]
    subprocess.run([*alone, str(tmp_path / "other cache")], check=True, capture_output=True)
    with np.load(tmp_path / "weights.npz") as first, np.load(tmp_path / "alone.npz") as second:
        assert all(np.array_equal(first[name], second[name]) for name in first.files)


def test_the_folder_of_a_state_goes_when_the_network_is_cached(cache, toy_images):
    load_trained(train, *toy_images)
    assert [path.name for path in cache.iterdir() if path.name.endswith(".checkpoint")] == []


def test_another_training_does_not_take_up_the_state_of_this_one(cache, toy_images, monkeypatch):
    def stop(*args):
        atomic_write(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "atomic_write", stop)
        with pytest.raises(KeyboardInterrupt):
            load_trained(train, *toy_images)
    model, history = load_trained(train, *toy_images, seed=1)
    assert same(model, train(*toy_images, seed=1)[0])
    assert len(history["loss"]) == 4


def test_each_epoch_has_an_order_of_its_own():
    rows = shuffled_rows(8, 4, 2, seed=0)
    orders = [np.concatenate([rows(step), rows(step + 1)]).tolist() for step in (0, 2)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(8))
