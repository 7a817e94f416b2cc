"""The described network: build it, train it, ask it."""

import math
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset, IterableDataset

from xraylib.better import train_better_model
from xraylib.data import FEATURES
from xraylib.preprocessing import check_arrays, preprocess_batches
from xraylib.quiet import keras, layers, tf
from xraylib.training import fit, from_arrays, from_stream

__all__ = ["QUICK", "build_model", "predict_files", "predict_proba", "train_better_model", "train_model"]

#: Settings of `train_model` that reach the described validation accuracy in a quarter of the described time.
QUICK = {"epochs": 5, "peak_rate": 1.5e-3, "standardise": True}
MEAN, DEVIATION = 0.5, 0.25  # of a radiograph's values, roughly


def build_model():
    """The described network, compiled as described.

    A `keras.Sequential` named ``my_model``: two convolutions of 64 filters, each followed by max pooling, then six
    dense layers ``L1`` … ``L6``; 491,218 parameters. Input (n, 28, 28, 1) float32 in [0, 1], output (n, 2).

    The last layer is a sigmoid while the loss is told ``from_logits=True``. On TensorFlow Keras then takes the loss
    from the values before the sigmoid (and warns), so the training is sound, but the two outputs are no probability
    distribution: use `predict_proba`.
    """
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(256, activation="relu", name="L1"),
            layers.Dense(128, activation="relu", name="L2"),
            layers.Dense(64, activation="relu", name="L3"),
            layers.Dense(32, activation="relu", name="L4"),
            layers.Dense(16, activation="relu", name="L5"),
            layers.Dense(2, activation="sigmoid", name="L6"),
        ],
        name="my_model",
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def train_model(
    X,
    y,
    X_validation,
    y_validation,
    *,
    epochs=20,
    batch_size=32,
    peak_rate=None,
    standardise=False,
    seed=0,
    progress=None,
):
    """Train the described network from scratch.

    Parameters
    ----------
    X, X_validation : (n, 28, 28, 1) float32 in [0, 1]
    y, y_validation : (n,) int, 0 = NORMAL, 1 = PNEUMONIA
        Instead of `X` a stream, a `datasets.IterableDataset` with the columns of `xraylib.data.load_splits`, and None
        for `y`: every epoch decodes it again, in the order in which it comes, a few batches ahead.
    epochs, batch_size : int
    peak_rate : float, optional. Adam's learning rate rises to it and falls to 0 again (one cycle); None keeps it at
        the described 0.001.
    standardise : bool. Train on ``(X - 0.5) / 0.25``, values around 0, with which the same steps lead further (LeCun et
        al. 1998, Efficient BackProp). The first layer then takes that in, so the network that comes back is asked as
        ever, with values in [0, 1].
    seed : int, fixes the initial weights, and with the epoch's number the order of the images: twice the same call
        gives the same network on one machine.
    progress : Path of a folder where an interrupted training leaves its last whole epoch and goes on from it, optional.

    Returns
    -------
    model : the trained `keras.Sequential`
    history : dict of lists as in Keras, one value an epoch: ``loss`` and ``accuracy`` are running means over the
        epoch, taken while the weights still change; ``val_loss`` and ``val_accuracy`` are taken after it.

    Raises ValueError if an array has another shape or the two have different lengths.
    """
    check_arrays(X_validation, y_validation, (28, 28, 1))
    if isinstance(X, IterableDataset):
        batches, steps = from_stream(X, batch_size), None
    else:
        check_arrays(X, y, (28, 28, 1))
        steps = math.ceil(len(X) / batch_size)
        batches = from_arrays(X, y, batch_size, steps, epochs, seed)
    keras.utils.set_random_seed(seed)
    model = trained = build_model()
    if standardise:
        trained = keras.Sequential([layers.Rescaling(1 / DEVIATION, -MEAN / DEVIATION), *model.layers])
        trained.build((None, 28, 28, 1))
    rate = 0.001  # what "adam" has
    if peak_rate and not steps:
        raise ValueError("One cycle needs the number of images: a stream does not tell it. Leave out peak_rate.")
    if peak_rate:
        total = steps * epochs
        cycle = {"warmup_target": peak_rate, "warmup_steps": int(0.3 * total)}
        rate = keras.optimizers.schedules.CosineDecay(peak_rate / 25, total - int(0.3 * total), **cycle)
    trained.compile(keras.optimizers.Adam(rate), model.loss, metrics=["accuracy"])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*from_logits=True.*")  # known, and harmless here: see build_model
        warnings.filterwarnings("ignore", message=".*ran out of data.*")  # so a stream ends its epoch
        validation = (np.asarray(X_validation, np.float32), np.asarray(y_validation))
        span = {"epochs": epochs, "steps": steps, "progress": progress}
        history = fit(trained, batches, validation_data=validation, validation_batch_size=128, **span)
    if standardise:  # exact, since the first convolution pads nothing
        kernel, bias = model.layers[0].get_weights()
        model.layers[0].set_weights([kernel / DEVIATION, bias - MEAN / DEVIATION * kernel.sum((0, 1, 2))])
        model.optimizer.build(model.trainable_variables)  # Keras warns when it reads a network without
    return model, history


def predict_proba(model, X):
    """The probability of PNEUMONIA that the training optimised.

    `model` is what `train_model` or `train_better_model` returns; `X` has the shape that it was trained on, (n, size,
    size, 1) float32 in [0, 1]. Returns (n,) float32 in [0, 1]: the softmax of the two logits, for the described network
    those before the last layer's sigmoid. Raises ValueError for another shape.
    """
    X = np.asarray(X, np.float32)
    check_arrays(X, shape=model.input_shape[1:])
    forward = _traced(model)
    parts = [forward(tf.constant(X[start : start + 128])).numpy() for start in range(0, len(X), 128)]
    return np.concatenate([np.empty(0, np.float32), *parts])


def predict_files(model, files):
    """The probability of PNEUMONIA for many image files, decoded in parallel, some thousands at a time.

    `model` is what `train_model` or `train_better_model` returns; `files` a folder, of which all files count whose name
    does not begin with a dot, or a list of paths. Returns a `pandas.DataFrame` with the columns ``file`` (str) and
    ``probability`` (float32 in [0, 1]), in the order of `files`. Raises FileNotFoundError if there is no file, and
    ValueError that lists every file that cannot be read.
    """
    if isinstance(files, str | Path):
        files = [path for path in sorted(Path(files).rglob("*")) if path.is_file() and path.name[0] != "."]
    names = [str(path) for path in files]
    if missing := [name for name in names if not Path(name).is_file()] or ([] if names else ["no file is given"]):
        raise FileNotFoundError(f"{missing[0]}: nothing to predict. Give a folder of image files or their paths.")
    columns = {
        "image": [{"path": name, "bytes": None} for name in names],
        "label": [0] * len(names),
        "file_name": names,
    }
    batches, parts = preprocess_batches(Dataset.from_dict(columns, features=FEATURES), model.input_shape[1], 256), []
    while some := [gray for gray, _ in islice(batches, 32)]:  # in turns: both at once get in each other's way
        parts += [predict_proba(model, gray / np.float32(255)) for gray in some]
    return pd.DataFrame({"file": names, "probability": np.concatenate(parts)})


def _traced(model):
    """The forward pass to the probability as a traced function: for one image far quicker than `model.predict`."""
    if "_to_probability" not in vars(model):
        *body, last = model.layers

        @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)])
        def forward(x):
            if getattr(last, "activation", None) is not keras.activations.sigmoid:
                return tf.nn.softmax(model(x, training=False))[:, 1]
            for layer in body:
                x = layer(x)
            return tf.nn.softmax(x @ last.kernel + last.bias)[:, 1]

        vars(model)["_to_probability"] = forward.get_concrete_function()  # called with less ado
    return vars(model)["_to_probability"]
