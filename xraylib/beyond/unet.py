"""A U-Net, and the layers that bring an image to it: standardise, find the box, crop."""

from xraylib.quiet import keras, layers, ops

SIDE = 64  # pixels on a side of what the networks take
WIDTHS = (16, 32, 48, 64)  # filters, from the finest to the coarsest level
MARGIN = 0.15  # of the lungs' box, on each side

registered = keras.saving.register_keras_serializable(package="xraylib")


def build_unet(side=SIDE, widths=WIDTHS):
    """Build a U-Net (Ronneberger, Fischer & Brox 2015, arXiv:1505.04597).

    Parameters
    ----------
    side : int
        Of the image, pixels; halved at each level but the first.
    widths : sequence of int
        Filters at each level.

    Returns
    -------
    keras.Model
        From standardised images (n, side, side, 1) to the logits of lung and opacity,
        (n, side, side, 2).

    Examples
    --------
    >>> build_unet(32, (4, 8)).output_shape
    (None, 32, 32, 2)
    """

    def convolve_twice(x, filters):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.BatchNormalization(momentum=0.9)(x)
            x = layers.ReLU()(x)
        return x

    inputs = keras.Input((side, side, 1))
    # Down: what each level sees is kept for the way up.
    x = convolve_twice(inputs, widths[0])
    skips = []
    for filters in widths[1:]:
        skips.append(x)
        x = convolve_twice(layers.MaxPooling2D()(x), filters)
    # Up: coarse knowledge of what, joined by fine knowledge of where.
    for skip in reversed(skips):
        x = layers.Concatenate()([layers.UpSampling2D()(x), skip])
        x = convolve_twice(x, skip.shape[-1])
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


@registered
class Standardise(layers.Layer):
    """Resize an image and bring its mean to 0, its standard deviation to 1.

    Examples
    --------
    >>> import numpy as np
    >>> Standardise(32)(np.ones((2, 28, 28, 1), np.float32)).shape.as_list()
    [2, 32, 32, 1]
    """

    def __init__(self, side, **options):
        super().__init__(**options)
        self.side = side

    def call(self, x):
        if x.shape[1] != self.side:
            x = ops.image.resize(x, (self.side, self.side), antialias=True)
        mean, variance = ops.moments(x, axes=(1, 2, 3), keepdims=True)
        return (x - mean) / ops.sqrt(variance + 1e-3)

    def get_config(self):
        return {**super().get_config(), "side": self.side}


@registered
class LungBox(layers.Layer):
    """Find the box about the lungs: from 2% to 98% of the map's row and column sums, and a margin.

    From a map (n, s, s, c), whose first channel is the lungs' probability, to left, right, top
    and bottom (n, 4) as proportions of the side; the whole image where there is no lung.

    Examples
    --------
    >>> import numpy as np
    >>> map = np.zeros((1, 10, 10, 1), np.float32)
    >>> map[:, 2:8, 4:6] = 1
    >>> LungBox(margin=0.0)(map).numpy().astype(float).round(2).tolist()
    [[0.4, 0.6, 0.2, 0.8]]
    """

    def __init__(self, margin=MARGIN, **options):
        super().__init__(**options)
        self.margin = margin

    def call(self, lungs):
        sure = ops.maximum(2 * lungs[..., 0] - 1, 0)
        edges = []
        for axis in (1, 2):  # sums of columns, then of rows
            seen = ops.cumsum(ops.sum(sure, axis), 1)  # (n, s)
            total = seen[:, -1:]
            low = ops.mean(ops.cast(seen <= 0.02 * total, "float32"), 1)
            high = ops.mean(ops.cast(seen < 0.98 * total, "float32"), 1) + 1 / lungs.shape[1]
            empty = total[:, 0] < 1
            low = ops.where(empty, 0.0, low)
            high = ops.where(empty, 1.0, high)
            edge = self.margin * (high - low)
            edges += [low - edge, high + edge]
        return ops.stack(edges, 1)

    def get_config(self):
        return {**super().get_config(), "margin": self.margin}


@registered
class Crop(layers.Layer):
    """Cut a box out of an image and resize it, beyond the image with its border's gray levels.

    From [image (n, s, s, c), box (n, 4)] to (n, side, side, c).

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1).repeat(4, 1)
    >>> Crop(2)([image, np.array([[0.5, 1.0, 0.0, 0.5]])]).numpy()[0, 0, :, 0].tolist()
    [2.0, 3.0]
    """

    def __init__(self, side=SIDE, **options):
        super().__init__(**options)
        self.side = side

    def call(self, inputs):
        image, box = inputs
        box = ops.cast(box, image.dtype)
        across = _hats(box[:, 0], box[:, 1], self.side, image.shape[2])  # (n, side, s)
        down = _hats(box[:, 2], box[:, 3], self.side, image.shape[1])
        return ops.einsum("nij,njkc,nlk->nilc", down, image, across)

    def get_config(self):
        return {**super().get_config(), "side": self.side}


def _hats(low, high, side, pixels):
    """Linear interpolation, averaged where it shrinks: weights of `pixels` for each of `side`."""
    step = (high - low)[:, None, None] / side
    at = low[:, None, None] + (ops.arange(side, dtype="float32")[None, :, None] + 0.5) * step
    at = ops.clip(at, 0.5 / pixels, 1 - 0.5 / pixels)
    centres = (ops.arange(pixels, dtype="float32")[None, None] + 0.5) / pixels
    weights = ops.maximum(1 - ops.abs(at - centres) / ops.maximum(ops.abs(step), 1 / pixels), 0)
    return weights / ops.sum(weights, 2, keepdims=True)
