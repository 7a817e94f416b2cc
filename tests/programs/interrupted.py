"""Train a small network for four epochs, and say when a killer may strike.

``interrupted.py MOMENT WEIGHTS [CACHE]``
"""

import os
import sys
import time

moment, weights, *alone = sys.argv[1:]
if alone:
    os.environ["XRAYLIB_CACHE"] = alone[0]

import numpy as np  # noqa: E402 (the cache is chosen before)

from xraylib.beyond import training  # noqa: E402
from xraylib.beyond.training import fit_resumable, shuffled_rows  # noqa: E402
from xraylib.cached import load_trained  # noqa: E402
from xraylib.files import store  # noqa: E402
from xraylib.quiet import keras, tf  # noqa: E402

saved = []


def write(path, data):
    if saved and moment == "while saving":
        path.with_name(f".{path.name}.partial").write_bytes(data[: len(data) // 2])
        print("now while saving", flush=True)
        time.sleep(30)
    store.atomic_write(path, data)
    saved.append(path)
    print("an epoch is saved", flush=True)
    if moment == "in an epoch":
        print("now in an epoch", flush=True)
        time.sleep(0.05)


training.atomic_write = write


def train(X, y, X_validation, y_validation, *, seed=5, checkpoint_dir=None):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rows = shuffled_rows(len(X), 8, 40, seed)
    images, labels = tf.constant(X), tf.constant(y)

    def batch_of(step):
        if moment == "in an epoch":
            tf.py_function(lambda: time.sleep(0.02), [], [])  # an epoch lasts long enough
        return tf.gather(images, rows(step)), tf.gather(labels, rows(step))

    history = fit_resumable(
        model,
        batch_of,
        steps=40,
        epochs=4,
        checkpoint_dir=checkpoint_dir,
        validation_data=(X_validation, y_validation),
    )
    return model, history


rng = np.random.default_rng(0)
X = rng.random((320, 28, 28, 1), np.float32)
y = np.arange(320) % 2
model, _ = load_trained(train, X, y, X[:8], y[:8])
np.savez(weights, *model.get_weights())
