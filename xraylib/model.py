"""The reference network in plain Keras: build it, train it, ask it.

It is the small convolutional network that the series rebuilds, line by line.
"""

import warnings

import numpy as np

from xraylib.preprocessing import check_arrays
from xraylib.quiet import keras, layers, tf

# Known, and harmless on the TensorFlow backend: see build_model.
warnings.filterwarnings("ignore", message=".*from_logits=True.*")


def build_model():
    """Build and compile the reference network.

    Two convolutions of 64 filters, each followed by max pooling, then six dense layers: 491,218
    parameters. Built in notebook 3.

    The last layer is a sigmoid while the loss is told ``from_logits=True``. On the TensorFlow
    backend Keras then takes the loss from the values before the sigmoid, and warns; so training is
    sound, but the two outputs are no probability distribution: use `predict_proba`.

    Returns
    -------
    keras.Sequential
        From (n, 28, 28, 1) float32 in [0, 1] to (n, 2).

    Examples
    --------
    >>> build_model().count_params()
    491218
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
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train_model(
    X, y, X_validation, y_validation, *, epochs=20, batch_size=32, seed=0, verbose="auto"
):
    """Train the reference network from scratch.

    Shown line by line in notebook 4. Called in the scope of a ``tf.distribute.MirroredStrategy``
    it trains on several devices.

    Parameters
    ----------
    X, X_validation : (n, 28, 28, 1) float32 in [0, 1]
    y, y_validation : (n,) int
        0 is NORMAL, 1 is PNEUMONIA.
        Instead of `X` a `tf.data.Dataset` of batches ``(X, y)``, and None for `y`: see
        `xraylib.beyond.as_tf_dataset`.
    epochs, batch_size : int
        A stream comes in batches of its own.
    seed : int
        Fixes the initial weights and the order of the images: on one machine the same call gives
        the same network.
    verbose : "auto", 0, 1 or 2
        What Keras prints, as in `keras.Model.fit`.

    Returns
    -------
    model : keras.Sequential
    history : dict of lists of float
        One value an epoch. ``loss`` and ``accuracy`` are running means over the epoch, taken while
        the weights still change; ``val_loss`` and ``val_accuracy`` are taken after it.

    Raises
    ------
    ValueError
        If an array has another shape, values outside [0, 1], another length than its labels, or
        no image.

    Examples
    --------
    >>> X, y = np.zeros((8, 28, 28, 1), np.float32), np.arange(8) % 2
    >>> model, history = train_model(X, y, X, y, epochs=2, verbose=0)
    >>> len(history["val_accuracy"])
    2
    """
    check_arrays(X_validation, y_validation, (28, 28, 1))
    streamed = isinstance(X, tf.data.Dataset)
    if not streamed:
        check_arrays(X, y, (28, 28, 1))
    keras.utils.set_random_seed(seed)
    model = build_model()
    history = model.fit(
        X,
        y,
        batch_size=None if streamed else batch_size,
        epochs=epochs,
        validation_data=(X_validation, y_validation),
        shuffle=not streamed,
        verbose=verbose,
    )
    return model, history.history


def predict_proba(model, X, batch_size=128):
    """Predict the probability of PNEUMONIA: the softmax of the two logits that training optimizes.

    Parameters
    ----------
    model : keras.Model
        What `train_model`, or a training function of `xraylib.beyond`, returns.
    X : (n, size, size, 1) float32 in [0, 1]
        Of the size that `model` was trained on.
    batch_size : int
        How many images the network is given at once.

    Returns
    -------
    (n,) float32 in [0, 1]

    Raises
    ------
    ValueError
        If `X` has another shape or values outside [0, 1], or the network's last layer gives no
        two logits.

    Examples
    --------
    >>> predict_proba(build_model(), np.zeros((3, 28, 28, 1), np.float32)).shape
    (3,)
    """
    X = np.asarray(X, np.float32)
    check_arrays(X, shape=model.input_shape[1:])
    last = model.layers[-1]
    hidden = isinstance(last, keras.Model | layers.Softmax | layers.Activation)
    known = (None, keras.activations.linear, keras.activations.sigmoid)
    if model.output_shape[-1] != 2 or hidden or getattr(last, "activation", None) not in known:
        raise ValueError(
            "The last layer must have two outputs and a sigmoid or no activation, and not be a "
            "network of its own: predict_proba takes the softmax itself."
        )
    batches = [X[start : start + batch_size] for start in range(0, len(X), batch_size)]
    logits = [logits_of(model, tf.constant(batch)).numpy() for batch in batches]
    logits = np.concatenate([np.empty((0, 2), np.float32), *logits])  # (n, 2), also for no image
    return tf.nn.softmax(logits).numpy()[:, 1]


@tf.function(reduce_retracing=True)
def logits_of(model, x):
    """Compute the two logits, the values before the last layer's sigmoid if it has one.

    Traced once for each network, so that one image takes a millisecond, not Keras's ninety.

    Parameters
    ----------
    model : keras.Model
        As in `predict_proba`.
    x : (n, size, size, 1) float32 tensor in [0, 1]

    Returns
    -------
    (n, 2) float32 tensor

    Examples
    --------
    >>> logits_of(build_model(), tf.zeros((3, 28, 28, 1))).shape.as_list()
    [3, 2]
    """
    last = model.layers[-1]
    if getattr(last, "activation", None) is not keras.activations.sigmoid:
        return model(x, training=False)
    body = keras.Model(model.inputs, last.input)
    logits = body(x, training=False) @ last.kernel
    return logits if last.bias is None else logits + last.bias
