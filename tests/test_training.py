"""Training that is interrupted, that reads a stream, that runs on several devices."""

import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from xraylib import store, training
from xraylib.evaluation import cross_entropy
from xraylib.model import predict_proba, train_model


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = rng.random((80, 28, 28, 1), np.float32) * 0.5
    X[y == 1, 8:20, 8:20] += 0.3
    return X, y, X[:16], y[:16]


@pytest.fixture(scope="module")
def whole(arrays):
    return train_model(*arrays, epochs=4, seed=1)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def interrupt(monkeypatch, epochs):
    """Let the training stop after so many whole epochs, as if by Ctrl-C."""
    left = iter(range(epochs))

    def replace(*args):
        store.replace(*args)
        if next(left, None) == epochs - 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "replace", replace)


def test_an_interrupted_training_ends_with_the_same_weights(arrays, whole, tmp_path, monkeypatch):
    interrupt(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train_model(*arrays, epochs=4, seed=1, progress=tmp_path)
    monkeypatch.undo()
    assert training.seconds_of(tmp_path) > 0
    model, history = train_model(*arrays, epochs=4, seed=1, progress=tmp_path)
    assert same(model, whole[0])
    assert history == whole[1]


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign"])
def test_a_damaged_state_is_not_used(arrays, whole, tmp_path, damage):
    train_model(*arrays, epochs=1, seed=1, progress=tmp_path)
    state = tmp_path / training.STATE
    content = state.read_bytes()
    if damage == "foreign":
        np.savez(state, about=np.array('{"history": {"loss": [0.1]}, "seconds": 1}'), **{"0000": np.zeros(3)})
    else:
        state.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    assert same(train_model(*arrays, epochs=4, seed=1, progress=tmp_path)[0], whole[0])


def test_a_killed_training_goes_on_in_the_next_process(arrays, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path))
    np.savez(tmp_path / "arrays.npz", *arrays)
    code = """if True:
        import numpy as np, sys, time
        from xraylib import store, training
        from xraylib.model import train_model
        def replace(*args):
            store.replace(*args)
            print("an epoch", flush=True)
            time.sleep(0.3)
        training.replace = replace
        arrays = np.load(sys.argv[1])
        store.load_trained(train_model, *(arrays[f"arr_{i}"] for i in range(4)), epochs=4, seed=1)
    """
    command = [sys.executable, "-c", code, tmp_path / "arrays.npz"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for _ in range(2):
            assert child.stdout.readline() == "an epoch\n"
        child.send_signal(signal.SIGKILL)
    assert not list(store.home().glob("train_model-*"))
    epochs = []
    monkeypatch.setattr(training, "replace", lambda *args: epochs.append(1))
    model, history = store.load_trained(train_model, *arrays, epochs=4, seed=1)
    assert len(epochs) in (1, 2)  # the others were there
    assert same(model, whole[0])
    assert history == whole[1]
    assert not list(store.home().glob(".*progress"))


def test_one_cycle_ends_at_rest(arrays):
    model, history = train_model(*arrays, epochs=3, batch_size=16, peak_rate=2e-3)
    assert float(model.optimizer.learning_rate) < 1e-6
    assert history["loss"][-1] < history["loss"][0]


def test_a_standardised_training_gives_a_network_that_is_asked_as_ever(arrays, tmp_path, monkeypatch):
    settings = {"epochs": 2, "standardise": True, "seed": 1}
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path / "kept"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model, history = store.load_trained(train_model, *arrays, **settings)
    p = predict_proba(model, arrays[2])
    assert np.isclose(cross_entropy(arrays[3], p), history["val_loss"][-1], rtol=1e-4)
    interrupt(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        train_model(*arrays, **settings, progress=tmp_path)
    monkeypatch.setattr(training, "replace", store.replace)
    assert same(train_model(*arrays, **settings, progress=tmp_path)[0], model)


def test_a_stream_trains_as_its_arrays_do_in_that_order(few_phantoms, tmp_path):
    X, y, X_validation, y_validation, *_ = store.load_arrays(few_phantoms)
    stream = few_phantoms["train"].to_iterable_dataset()
    model, history = train_model(stream, None, X_validation, y_validation, epochs=2, batch_size=5)
    assert len(history["val_loss"]) == 2
    again, _ = train_model(stream, None, X_validation, y_validation, epochs=1, batch_size=5, progress=tmp_path)
    again, _ = train_model(stream, None, X_validation, y_validation, epochs=2, batch_size=5, progress=tmp_path)
    assert same(model, again)
    shuffled = few_phantoms["train"].to_iterable_dataset().shuffle(seed=0, buffer_size=12)
    other, _ = train_model(shuffled, None, X_validation, y_validation, epochs=2, batch_size=5)
    assert not same(model, other)
    assert predict_proba(model, X).shape == (12,)


def test_two_devices_train_as_one_does(arrays, tmp_path):
    np.savez(tmp_path / "arrays.npz", *arrays)
    code = """if True:
        import numpy as np, sys
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        from xraylib.model import predict_proba, train_model
        arrays = [np.load(sys.argv[1])[f"arr_{i}"] for i in range(4)]
        one, _ = train_model(*arrays, epochs=2, seed=1)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        assert strategy.num_replicas_in_sync == 2
        seen = []
        with strategy.scope():
            two, _ = train_model(*arrays, epochs=2, seed=1)
            assert len(two.layers[0].kernel.value.values) == 2  # a copy of the weights on each device
        print(max(np.abs(a - b).max() for a, b in zip(one.get_weights(), two.get_weights())))
        print(np.abs(predict_proba(one, arrays[0]) - predict_proba(two, arrays[0])).max())
    """
    command = [sys.executable, "-c", code, tmp_path / "arrays.npz"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    weights, probabilities = map(float, done.stdout.splitlines()[-2:])
    assert weights < 1e-3
    assert probabilities < 1e-3


def test_no_training_waits_for_the_tuner_of_input_pipelines(arrays, few_phantoms):
    """Its thread may sleep through the end of a training, for as long as the training took."""
    from_stream = training.from_stream(few_phantoms["train"].to_iterable_dataset(), 4)
    for batches in (training.from_arrays(*arrays[:2], 8, 10, 1, 0), from_stream):
        assert batches(0).options().autotune.enabled is False
