"""The better network: two small residual networks, each with its own view of the picture, trained as one.

Chosen on validation images and on held-out groups of patients and pictures, never on test images; notebook 8 explains
each ingredient and `notebooks/ablation.csv` has the measurements.
"""

import numpy as np

from xraylib.preprocessing import check_arrays
from xraylib.quiet import keras, layers, ops, tf
from xraylib.training import fit, from_steps, shuffled

FINE, COARSE = 64, 28  # sides in pixels at which the standardised and the local view work, at most
SHIFT = 0.035  # test-time shift as a share of the side: one pixel at 28
SMALL_SET = 1500  # below so many training images: half as many filters, batches of 32
PEAK_RATE, WEIGHT_DECAY, WARM_UP = 4e-3, 0.05, 0.25  # of AdamW; the warm-up is a share of all steps

registered = keras.saving.register_keras_serializable(package="xraylib")


def train_better_model(X, y, X_validation, y_validation, *, seed=0, epochs=None, balance=0.5, progress=None):
    """Train the better network from scratch.

    Parameters
    ----------
    X, X_validation : (n, size, size, 1) float32 in [0, 1], size 28 to 96
    y, y_validation : (n,) int, 0 = NORMAL, 1 = PNEUMONIA
    seed : int, fixes the initial weights, and with the number of the step every shuffle and augmentation.
    epochs : int, by default 24, from 48 pixels on 26.
    balance : float, how much of the training set's class shares is taken out of the answer: with 0 the probabilities
        expect the shares of training, with 1 as many NORMAL as PNEUMONIA. Between lies a hedge for images from
        elsewhere, whose shares nobody knows.
    progress : Path of a folder where an interrupted training leaves its last whole epoch and goes on from it, optional.

    Returns
    -------
    model : a `keras.Model` from (n, size, size, 1) to two logits, for `predict_proba`. Part of it are both views, nine
        shifted copies of each image, a temperature fitted on the validation images, and `balance`.
    history : dict of lists as in Keras, one value an epoch. The training figures are those of augmented images, all
        figures those of single copies without temperature and balance.

    Raises ValueError if an array has another shape or size or the two have different lengths.
    """
    check_arrays(X, y)
    check_arrays(X_validation, y_validation, np.shape(X)[1:])
    size = X.shape[1]
    if not 28 <= size <= 96:
        raise ValueError(f"The better network takes images of 28 to 96 pixels, not {size}.")
    epochs = epochs or (24 if size < 48 else 26)
    views, network = Views(), build(size, len(X) < SMALL_SET, seed)
    make, steps = _batches(X, y, views, seed)

    warm = int(WARM_UP * steps * epochs)
    rate = {"warmup_target": PEAK_RATE, "warmup_steps": warm, "alpha": 0.001}
    rate = keras.optimizers.schedules.CosineDecay(1e-4, max(steps * epochs - warm, 1), **rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained = keras.Model(network.inputs, network(network.inputs))  # apart, so that the result holds no optimiser
    fuse = len(X) >= SMALL_SET  # XLA fuses the normalisation, a third faster, but takes half a minute to begin
    trained.compile(optimizer, loss, metrics=[_accuracy], jit_compile=fuse)
    y_each = np.repeat(np.asarray(y_validation)[:, None], network.output_shape[1], 1)
    history = fit(
        trained,
        from_steps(make, steps, epochs),
        epochs=epochs,
        steps=steps,
        progress=progress,
        validation_data=(tuple(views(tf.constant(X_validation, tf.float32))), y_each),
        validation_batch_size=-(-len(X_validation) // -(-len(X_validation) // 512)),  # equal parts: compiled once
    )
    history = {name.removeprefix("_").replace("val__", "val_"): values for name, values in history.items()}

    inputs = keras.Input((size, size, 1))
    logits = network(views(Shifts()(inputs)))
    plain = keras.Model(inputs, Combine()(logits))
    parts = [plain(X_validation[start : start + 128]).numpy() for start in range(0, len(X_validation), 128)]
    odds = np.diff(np.concatenate(parts))[:, 0] * np.where(np.asarray(y_validation) == 1, 1, -1)
    temperatures = np.geomspace(0.4, 2.5, 93)
    losses = [np.logaddexp(0, -odds / temperature).mean() for temperature in temperatures]
    share = np.clip(np.mean(y), 0.01, 0.99)
    combine = Combine(temperatures[int(np.argmin(losses))], balance * np.log(share / (1 - share)))
    return keras.Model(inputs, combine(logits)), history


def build(size, small=False, seed=0):
    """The network for `size` pixels: from the two views to the logits of each branch, (n, 2 branches, 2 classes)."""
    rng, inputs, outputs = np.random.default_rng(seed), [], []
    for view in Views()(keras.Input((size, size, 1))):
        stem, widths, stride = (24, (24, 48, 96, 96), 2) if view.shape[1] >= 48 else (16, (16, 32, 64, 64), 1)
        if small:
            stem, widths = stem // 2, [width // 2 for width in widths]
        inputs.append(keras.Input(view.shape[1:]))
        outputs.append(_branch(view.shape[1:], stem, widths, stride, rng)(inputs[-1]))
    return keras.Model(inputs, ops.stack(outputs, 1), name="network")


def network_of(model):
    """The trained network inside a model of `train_better_model`: from the two views to each branch's logits."""
    return model.get_layer("network")


def _branch(shape, stem, widths, stride, rng):
    """A residual network with two logits (He et al. 2016, arXiv:1512.03385), one block of each width."""

    def convolve(x, filters, side=3, stride=1, relu=True, gamma="ones"):
        start = keras.initializers.HeNormal(seed=int(rng.integers(2**31)))
        x = layers.Conv2D(filters, side, stride, "same", use_bias=False, kernel_initializer=start)(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)(x)
        return layers.ReLU()(x) if relu else x

    inputs = keras.Input(shape)
    x = convolve(inputs, stem, stride=stride)
    for place, width in enumerate(widths):
        found = convolve(convolve(x, width, stride=2 if place else 1), width, relu=False, gamma="zeros")
        x = layers.AveragePooling2D(2, padding="same")(x) if place else x
        x = x if x.shape[-1] == width else convolve(x, width, 1, relu=False)
        x = layers.ReLU()(layers.Add()([x, found]))
    start = keras.initializers.GlorotUniform(seed=int(rng.integers(2**31)))
    return keras.Model(inputs, layers.Dense(2, kernel_initializer=start)(layers.GlobalAveragePooling2D()(x)))


# ------------------------------------------------------------------------------------------------- views of a picture


@registered
class Views(layers.Layer):
    """Two normalised views of each picture: standardised, at 64 pixels at most, and with local contrast, at 28."""

    def call(self, x, small=None):
        return [self.standardise(_shrink(x, FINE)), self.local(_shrink(x, COARSE) if small is None else small)]

    def standardise(self, x):
        mean, variance = ops.moments(x, axes=(1, 2, 3), keepdims=True)
        return (x - mean) / ops.sqrt(variance + 1e-4)

    def local(self, x):
        window = round(x.shape[1] / 6) // 2 * 2 + 1
        x = x - _box(_box(x, window), window)
        return x / ops.sqrt(_box(_box(x * x, window), window) + 4e-4)


@registered
class Shifts(layers.Layer):
    """Nine copies of each picture, one after the other: shifted by at most 3.5% of the side in both directions."""

    def call(self, x):
        size = x.shape[1]
        reach = max(1, round(SHIFT * size))
        wide = ops.pad(x, [[0, 0], [reach, reach], [reach, reach], [0, 0]], mode="symmetric")
        starts = (0, reach, 2 * reach)
        return ops.concatenate([wide[:, i : i + size, j : j + size] for i in starts for j in starts])


@registered
class Combine(layers.Layer):
    """Mean logits over the nine shifts and the branches, divided by a temperature, moved apart by -`offset`."""

    def __init__(self, temperature=1.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.temperature, self.offset = float(temperature), float(offset)

    def call(self, logits):
        logits = ops.mean(ops.reshape(logits, (9, -1, logits.shape[1], 2)), axis=(0, 2))
        return logits / self.temperature + ops.convert_to_tensor([self.offset / 2, -self.offset / 2], logits.dtype)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "offset": self.offset}


def _box(x, window):
    """Mean over a square window, the picture mirrored at its border: sums of shifted pictures, quicker than pooling."""
    edge, (_, height, width, _) = window // 2, x.shape
    wide = ops.pad(x, [[0, 0], [edge, edge], [edge, edge], [0, 0]], mode="reflect")
    rows = sum(wide[:, i : i + height] for i in range(window))
    return sum(rows[:, :, i : i + width] for i in range(window)) / window**2


def _shrink(x, size):
    return x if x.shape[1] <= size else ops.image.resize(x, (size, size), antialias=True)


# ------------------------------------------------------------------------------------------------------- augmentation


def augment(x, u):
    """Each picture as another exposure of the same child: `warp` and `tint`. `u` is (n, 9) in [0, 1), 0.5: no change.

    `x` is (n, size, size, 1) in [0, 1]; so is the result, float32.
    """
    x, u = (tf.convert_to_tensor(values, tf.float32) for values in (x, u))
    return tint(warp(x, u[:, :5]), u[:, 5:9])


def warp(x, u):
    """Turned by up to 5 degrees, stretched by up to 8% (4% apart), shifted by up to 4%. `u` is (n, 5) in [0, 1)."""
    v, size = 2 * u - 1, x.shape[1]
    angle, zoom, aspect = v[:, 0] * np.deg2rad(5), tf.exp(v[:, 1] * 0.08), tf.exp(v[:, 2] * 0.04)
    across, down, centre = zoom * aspect, zoom / aspect, (size - 1) / 2
    a, b, d, e = across * tf.cos(angle), -down * tf.sin(angle), across * tf.sin(angle), down * tf.cos(angle)
    c = centre - (a + b) * centre + v[:, 3] * 0.04 * size
    f = centre - (d + e) * centre + v[:, 4] * 0.04 * size
    rows = tf.stack([a, b, c, d, e, f, tf.zeros_like(a), tf.zeros_like(a)], 1)
    how = {"output_shape": [size, size], "fill_value": 0.0, "interpolation": "BILINEAR", "fill_mode": "REFLECT"}
    return tf.ensure_shape(
        tf.raw_ops.ImageProjectiveTransformV3(images=x, transforms=rows, **how), [None, size, size, 1]
    )


def tint(x, u):
    """With another gamma, blurred or sharpened, with other contrast and brightness. `u` is (n, 4) in [0, 1)."""
    v = (2 * u - 1)[:, :, None, None, None]
    x = tf.clip_by_value(x, 1e-3, 1.0) ** tf.exp(v[:, 0] * 0.4)
    x = x + tf.where(v[:, 1] > 0, 1.2, 0.8) * v[:, 1] * (x - _box(x, 3))
    return tf.clip_by_value((x - 0.5) * (1 + v[:, 2] * 0.22) + 0.5 + v[:, 3] * 0.15, 0.0, 1.0)


def cutout(view, u):
    """Half of the views lose a rectangle of 10 to 40% of each side (DeVries & Taylor 2017). `u` is (n, 5) in [0, 1)."""
    at = (tf.range(view.shape[1], dtype=tf.float32) + 0.5) / view.shape[1]
    rows = tf.abs(at - u[:, 0:1]) < 0.05 + 0.15 * u[:, 1:2]
    columns = tf.abs(at - u[:, 2:3]) < 0.05 + 0.15 * u[:, 3:4]
    hit = rows[:, :, None] & columns[:, None, :] & (u[:, 4] < 0.5)[:, None, None]
    return tf.where(hit[..., None], 0.0, view)


def _batches(X, y, views, seed):
    """What makes the batch of a step, augmented, from the step's number and the seed alone; the steps of an epoch."""
    n, size = len(X), 32 if len(X) < SMALL_SET else 64
    steps = max(n // size, 1)
    rows = shuffled(n, size, steps, seed)
    fine, y = _shrink(tf.constant(X, tf.float32), FINE), tf.constant(y, tf.int32)
    coarse = fine if fine.shape[1] <= COARSE else _shrink(tf.constant(X, tf.float32), COARSE)

    def make(step):
        chosen = rows(step)
        u = tf.random.stateless_uniform([size, 14], seed=[seed + 1, step])[: tf.shape(chosen)[0]]
        large = warp(tf.gather(fine, chosen), u[:, :5])
        small = large if coarse is fine else warp(tf.gather(coarse, chosen), u[:, :5])
        both = views(tint(large, u[:, 5:9]), small)  # the local view needs no change of intensity: it cancels there
        return tuple(cutout(view, u[:, 9:]) for view in both), tf.repeat(tf.gather(y, chosen)[:, None], 2, 1)

    return make, steps


def _accuracy(y, logits):
    """The share of right answers of the branches' mean."""
    said = ops.argmax(ops.mean(logits, 1), -1)
    return ops.cast(ops.equal(y[:, 0], ops.cast(said, y.dtype)), "float32")
