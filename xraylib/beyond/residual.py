"""The better network: two small residual networks, each with its own view of the image, trained as
one.

Chosen on validation images and on held-out groups of patients and images, never on test images;
lesson 11 explains each ingredient.
"""

import math
from pathlib import Path

import numpy as np

from xraylib.beyond import calibration, training
from xraylib.beyond.calibration import fit_temperature
from xraylib.beyond.training import fit_resumable, shuffled_rows
from xraylib.beyond.unet import registered
from xraylib.model import predict_proba
from xraylib.preprocessing import check_arrays
from xraylib.quiet import keras, layers, ops, tf

FINE, COARSE = 64, 28  # largest sides in pixels of the standardised and of the local view
SHIFT = 0.035  # test-time shift as a proportion of the side: one pixel at 28
SMALL_SET = 1500  # below so many training images: half as many filters, batches of 32
MAX_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.05
WARMUP = 0.25  # proportion of all steps


def train_better_model(
    X,
    y,
    X_validation,
    y_validation,
    *,
    seed=0,
    epochs=None,
    prior_adjustment=0.5,
    small=None,
    checkpoint_dir=None,
):
    """Train the better network from scratch.

    Parameters
    ----------
    X, X_validation : (n, size, size, 1) float32 in [0, 1]
        Size 28 to 96 pixels.
    y, y_validation : (n,) int
        0 is NORMAL, 1 is PNEUMONIA.
    seed : int
        Fixes the initial weights, and with the number of the step every shuffle and augmentation.
    epochs : int, optional
        By default 24, from 48 pixels on 26.
    prior_adjustment : float in [0, 1]
        How much of the training set's class proportions is taken out of the answer (logit
        adjustment): with 0 the probabilities expect the proportions of training, with 1 as many
        NORMAL as PNEUMONIA. Between lies a hedge for images whose proportions nobody knows.
    small : bool, optional
        Half as many filters; by default for fewer than 1,500 training images.
    checkpoint_dir : Path, optional
        Where an interrupted training leaves its last whole epoch and goes on from it.

    Returns
    -------
    model : keras.Model
        From (n, size, size, 1) to two logits, for `xraylib.model.predict_proba`. Part of it are
        both views, nine shifted copies of each image (test-time augmentation), a temperature fitted
        on the validation images, and the prior adjustment.
    history : dict of lists of float
        One value an epoch. The training figures are those of augmented images, all figures those of
        single copies without temperature and prior adjustment.

    Raises
    ------
    ValueError
        If an array has another shape, size or range of values, another length than its labels, or
        no image.

    Examples
    --------
    >>> X, y = np.zeros((8, 28, 28, 1), np.float32), np.arange(8) % 2
    >>> train_better_model(X, y, X, y, epochs=0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: epochs must be at least 1, not 0.
    """
    check_arrays(X, y)
    check_arrays(X_validation, y_validation, np.shape(X)[1:])
    size = X.shape[1]
    if not 28 <= size <= 96:
        raise ValueError(f"The better network takes images of 28 to 96 pixels, not {size}.")
    if epochs is None:
        epochs = 24 if size < 48 else 26
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {epochs}.")

    # The network proper: from both views to the logits of each branch.
    few = len(X) < SMALL_SET
    views = NormalizedViews()
    network = build(size, few if small is None else small, seed)
    batch_of, steps = _augmented_batches(X, y, views, seed)
    trained = keras.Model(network.inputs, network(network.inputs))  # the result holds no optimiser
    trained.compile(
        _optimizer(steps * epochs),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[accuracy],
        # XLA fuses the normalisation, a third faster, but takes half a minute to begin.
        jit_compile=not few,
    )
    labels = np.asarray(y_validation)[:, None].repeat(network.output_shape[1], 1)  # (n, branches)
    parts = math.ceil(len(labels) / 512)
    history = fit_resumable(
        trained,
        batch_of,
        steps=steps,
        epochs=epochs,
        checkpoint_dir=checkpoint_dir,
        validation_data=(tuple(views(tf.constant(X_validation, tf.float32))), labels),
        validation_batch_size=math.ceil(len(labels) / parts),  # equal parts: compiled once
    )

    # What is asked later: nine copies of an image, calibrated on the validation images.
    inputs = keras.Input((size, size, 1))
    logits = network(views(TestTimeShifts()(inputs)))
    uncalibrated = keras.Model(inputs, MeanLogits()(logits))
    temperature = fit_temperature(y_validation, predict_proba(uncalibrated, X_validation))
    prior = np.clip(np.mean(y), 0.01, 0.99)
    offset = prior_adjustment * np.log(prior / (1 - prior))
    return keras.Model(inputs, MeanLogits(temperature, offset)(logits)), history


# What else decides the trained network, for `xraylib.cached.load_trained`.
train_better_model.made_of = (Path(calibration.__file__), Path(training.__file__))


def build(size, small=False, seed=0):
    """Build the network from the two views to the logits of each branch.

    Parameters
    ----------
    size : int
        Side of the images in pixels, 28 to 96.
    small : bool
        Half as many filters.
    seed : int

    Returns
    -------
    keras.Model
        To (n, 2 branches, 2 classes).

    Examples
    --------
    >>> build(28).output_shape
    (None, 2, 2)
    """
    rng = np.random.default_rng(seed)
    inputs = []
    outputs = []
    for view in NormalizedViews()(keras.Input((size, size, 1))):
        stem, widths, stride = 16, (16, 32, 64, 64), 1
        if view.shape[1] >= 48:
            stem, widths, stride = 24, (24, 48, 96, 96), 2
        if small:
            stem, widths = stem // 2, [width // 2 for width in widths]
        inputs.append(keras.Input(view.shape[1:]))
        outputs.append(_branch(view.shape[1:], stem, widths, stride, rng)(inputs[-1]))
    return keras.Model(inputs, ops.stack(outputs, 1), name="network")


def _branch(shape, stem, widths, stride, rng):
    """Build a residual network with two logits (He et al. 2016, arXiv:1512.03385)."""

    def convolve(x, filters, kernel_size=3, stride=1, relu=True, gamma="ones"):
        he_normal = keras.initializers.HeNormal(seed=int(rng.integers(2**31)))
        x = layers.Conv2D(
            filters,
            kernel_size,
            stride,
            "same",
            use_bias=False,
            kernel_initializer=he_normal,
        )(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)(x)
        return layers.ReLU()(x) if relu else x

    inputs = keras.Input(shape)
    x = convolve(inputs, stem, stride=stride)
    for block, width in enumerate(widths):
        residual = convolve(x, width, stride=2 if block else 1)
        residual = convolve(residual, width, relu=False, gamma="zeros")
        x = layers.AveragePooling2D(2, padding="same")(x) if block else x
        x = x if x.shape[-1] == width else convolve(x, width, 1, relu=False)
        x = layers.ReLU()(layers.Add()([x, residual]))
    x = layers.GlobalAveragePooling2D()(x)
    glorot = keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))
    return keras.Model(inputs, layers.Dense(2, kernel_initializer=glorot)(x))


def _optimizer(steps):
    """AdamW with linear warm-up and cosine decay over so many steps."""
    warmup_steps = int(WARMUP * steps)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        1e-4,
        max(steps - warmup_steps, 1),
        alpha=0.001,
        warmup_target=MAX_LEARNING_RATE,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer


def accuracy(y, logits):
    """Tell the proportion of correct answers of the branches' mean, as a Keras metric.

    Parameters
    ----------
    y : (n, branches) int
        The same label for each branch.
    logits : (n, branches, 2) float

    Returns
    -------
    (n,) float32
        1 where the answer is correct.

    Examples
    --------
    >>> accuracy(np.array([[1, 1]]), np.array([[[0.0, 3.0], [1.0, 0.0]]])).numpy().tolist()
    [1.0]
    """
    y_pred = ops.argmax(ops.mean(logits, 1), -1)
    return ops.cast(ops.equal(y[:, 0], ops.cast(y_pred, y.dtype)), "float32")


# ------------------------------------------------------------------------------------ layers


@registered
class NormalizedViews(layers.Layer):
    """Two normalised views of each image.

    The first is standardised, at most 64 pixels a side; the second has local contrast normalised,
    at most 28 pixels a side. Affine changes of the gray levels cancel in both.

    Examples
    --------
    >>> [view.shape[1] for view in NormalizedViews()(np.zeros((2, 96, 96, 1), np.float32))]
    [64, 28]
    """

    def call(self, x, small=None):
        small = _shrink(x, COARSE) if small is None else small
        return [self.standardise(_shrink(x, FINE)), self.normalise_locally(small)]

    def standardise(self, x):
        mean, variance = ops.moments(x, axes=(1, 2, 3), keepdims=True)
        return (x - mean) / ops.sqrt(variance + 1e-4)

    def normalise_locally(self, x):
        window = round(x.shape[1] / 6) // 2 * 2 + 1
        x = x - _window_mean(_window_mean(x, window), window)
        return x / ops.sqrt(_window_mean(_window_mean(x * x, window), window) + 4e-4)


@registered
class TestTimeShifts(layers.Layer):
    """Nine copies of each image, one after the other, shifted by at most 3.5% of the side.

    Examples
    --------
    >>> TestTimeShifts()(np.zeros((2, 28, 28, 1), np.float32)).shape[0]
    18
    """

    __test__ = False  # not one of pytest's, whatever its name

    def call(self, x):
        size = x.shape[1]
        reach = max(1, round(SHIFT * size))
        wide = ops.pad(x, [[0, 0], [reach, reach], [reach, reach], [0, 0]], mode="symmetric")
        starts = (0, reach, 2 * reach)
        return ops.concatenate(
            [wide[:, i : i + size, j : j + size] for i in starts for j in starts]
        )


@registered
class MeanLogits(layers.Layer):
    """Mean logits over the nine shifts and the branches, divided by a temperature, minus an offset.

    Parameters
    ----------
    temperature : float
        See `xraylib.beyond.calibration.fit_temperature`.
    offset : float
        What the log odds of PNEUMONIA lose.

    Examples
    --------
    >>> MeanLogits()(np.zeros((9, 2, 2), np.float32)).shape[0]
    1
    """

    def __init__(self, temperature=1.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature = float(temperature)
        self.offset = float(offset)

    def call(self, logits):
        logits = ops.reshape(logits, (9, -1, logits.shape[1], 2))
        logits = ops.mean(logits, axis=(0, 2)) / self.temperature  # (n, 2)
        halves = [self.offset / 2, -self.offset / 2]
        return logits + ops.convert_to_tensor(halves, logits.dtype)

    def get_config(self):
        config = super().get_config()
        return {**config, "temperature": self.temperature, "offset": self.offset}


def _window_mean(x, window):
    """Mean over a square window, the image mirrored at its border; quicker than pooling."""
    edge = window // 2
    _, height, width, _ = x.shape
    wide = ops.pad(x, [[0, 0], [edge, edge], [edge, edge], [0, 0]], mode="reflect")
    rows = sum(wide[:, i : i + height] for i in range(window))
    return sum(rows[:, :, i : i + width] for i in range(window)) / window**2


def _shrink(x, size):
    return x if x.shape[1] <= size else ops.image.resize(x, (size, size), antialias=True)


# ------------------------------------------------------------------------------------ augmentation
# keras.layers.Random* would give each of the two views an augmentation of its own.


def augment(x, u):
    """Change each image as another exposure of the same child would: `warp` and `adjust`.

    Parameters
    ----------
    x : (n, size, size, 1) float32 in [0, 1]
    u : (n, 9) float32 in [0, 1)
        Random numbers; 0.5 changes nothing.

    Returns
    -------
    (n, size, size, 1) float32 in [0, 1]

    Examples
    --------
    >>> augment(np.zeros((2, 28, 28, 1)), np.zeros((2, 9))).shape.as_list()
    [2, 28, 28, 1]
    """
    x = tf.convert_to_tensor(x, tf.float32)
    u = tf.convert_to_tensor(u, tf.float32)
    return adjust(warp(x, u[:, :5]), u[:, 5:9])


def warp(x, u):
    """Rotate by up to 5 degrees, stretch by up to 8% (4% apart), shift by up to 4%.

    Parameters
    ----------
    x : (n, size, size, 1) float32
    u : (n, 5) float32 in [0, 1)

    Returns
    -------
    (n, size, size, 1) float32

    Examples
    --------
    >>> warp(tf.zeros((2, 28, 28, 1)), tf.zeros((2, 5))).shape.as_list()
    [2, 28, 28, 1]
    """
    v = 2 * u - 1
    size = x.shape[1]
    centre = (size - 1) / 2
    angle = v[:, 0] * np.deg2rad(5)
    zoom = tf.exp(v[:, 1] * 0.08)
    aspect = tf.exp(v[:, 2] * 0.04)
    # The affine map from a pixel of the result to its place in the image: x' = a x + b y + c, ...
    a = zoom * aspect * tf.cos(angle)
    b = -zoom / aspect * tf.sin(angle)
    d = zoom * aspect * tf.sin(angle)
    e = zoom / aspect * tf.cos(angle)
    c = centre - (a + b) * centre + v[:, 3] * 0.04 * size
    f = centre - (d + e) * centre + v[:, 4] * 0.04 * size
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=tf.stack([a, b, c, d, e, f, tf.zeros_like(a), tf.zeros_like(a)], 1),
        output_shape=[size, size],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return tf.ensure_shape(moved, [None, size, size, 1])


def adjust(x, u):
    """Change gamma, blur or sharpen, change contrast and brightness.

    Parameters
    ----------
    x : (n, size, size, 1) float32 in [0, 1]
    u : (n, 4) float32 in [0, 1)

    Returns
    -------
    (n, size, size, 1) float32 in [0, 1]

    Examples
    --------
    >>> adjust(tf.zeros((2, 28, 28, 1)), tf.zeros((2, 4))).shape.as_list()
    [2, 28, 28, 1]
    """
    v = (2 * u - 1)[:, :, None, None, None]
    x = tf.clip_by_value(x, 1e-3, 1.0) ** tf.exp(v[:, 0] * 0.4)
    x = x + tf.where(v[:, 1] > 0, 1.2, 0.8) * v[:, 1] * (x - _window_mean(x, 3))
    return tf.clip_by_value((x - 0.5) * (1 + v[:, 2] * 0.22) + 0.5 + v[:, 3] * 0.15, 0.0, 1.0)


def cutout(view, u):
    """Set a rectangle of 10 to 40% of each side to 0 in half of the views (DeVries & Taylor 2017).

    Parameters
    ----------
    view : (n, size, size, 1) float32
    u : (n, 5) float32 in [0, 1)

    Returns
    -------
    (n, size, size, 1) float32

    Examples
    --------
    >>> cutout(tf.ones((2, 28, 28, 1)), tf.zeros((2, 5))).shape.as_list()
    [2, 28, 28, 1]
    """
    at = (tf.range(view.shape[1], dtype=tf.float32) + 0.5) / view.shape[1]
    rows = tf.abs(at - u[:, 0:1]) < 0.05 + 0.15 * u[:, 1:2]
    columns = tf.abs(at - u[:, 2:3]) < 0.05 + 0.15 * u[:, 3:4]
    inside = rows[:, :, None] & columns[:, None, :] & (u[:, 4] < 0.5)[:, None, None]
    return tf.where(inside[..., None], 0.0, view)


def _augmented_batches(X, y, views, seed):
    """What makes the batch of a step from its number and the seed alone; the steps of an epoch."""
    batch_size = 32 if len(X) < SMALL_SET else 64
    steps = max(len(X) // batch_size, 1)
    rows = shuffled_rows(len(X), batch_size, steps, seed)
    y = tf.constant(y, tf.int32)
    fine = _shrink(tf.constant(X, tf.float32), FINE)
    coarse = fine if fine.shape[1] <= COARSE else _shrink(tf.constant(X, tf.float32), COARSE)

    def batch_of(step):
        chosen = rows(step)
        u = tf.random.stateless_uniform([batch_size, 14], seed=[seed + 1, step])
        u = u[: tf.shape(chosen)[0]]
        large = warp(tf.gather(fine, chosen), u[:, :5])
        small = large if coarse is fine else warp(tf.gather(coarse, chosen), u[:, :5])
        # The local view needs no change of intensity: it cancels there.
        both = views(adjust(large, u[:, 5:9]), small)
        labels = tf.repeat(tf.gather(y, chosen)[:, None], 2, 1)  # (n, branches)
        return tuple(cutout(view, u[:, 9:]) for view in both), labels

    return batch_of, steps
