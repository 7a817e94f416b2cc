"""Which part of a radiograph an answer depends on: saliency maps, and the pointing game."""

import numpy as np

from xraylib.beyond.residual import NormalizedViews
from xraylib.beyond.robust import knows_unfamiliar
from xraylib.model import logits_of
from xraylib.preprocessing import check_arrays
from xraylib.quiet import keras, ops, tf


def grad_cam(model, X):
    """Compute Grad-CAM maps for PNEUMONIA (Selvaraju et al. 2017, arXiv:1610.02391).

    The last feature maps before the decision are weighted by how much the log odds of PNEUMONIA
    grow with them, summed, and what speaks against it is set to 0; of the better network's two
    branches the mean is taken.

    Parameters
    ----------
    model : keras.Model
        Of `train_model`, `train_quick_model` or `train_better_model`.
    X : (n, size, size, 1) float32 in [0, 1]

    Returns
    -------
    (n, size, size) float32 in [0, 1]
        Each map scaled to a maximum of 1; one without anything in favor stays 0.

    Raises
    ------
    ValueError
        If `X` has another shape or values outside [0, 1]. For the network of `train_robust_model`:
        use `occlusion`.

    Examples
    --------
    >>> from xraylib.model import build_model
    >>> grad_cam(build_model(), np.zeros((2, 28, 28, 1), np.float32)).shape
    (2, 28, 28)
    """
    if knows_unfamiliar(model):
        raise ValueError(
            "Grad-CAM needs feature maps that lead to one decision, and the robust network has "
            "several: use occlusion."
        )
    check_arrays(X, shape=model.input_shape[1:])
    X = tf.constant(X, tf.float32)
    branches = [(model, X)]
    if _is_better(model):
        inner = model.get_layer("network").layers  # from views to the logits of each branch
        networks = [layer for layer in inner if isinstance(layer, keras.Model)]
        branches = zip(networks, NormalizedViews()(X), strict=True)
    maps = [_weighted_maps(network, view)[..., None] for network, view in branches]
    maps = [ops.image.resize(part, X.shape[1:3]).numpy()[..., 0] for part in maps]
    return _scale(np.mean([_scale(part) for part in maps], 0))


def _is_better(model):
    return "network" in [layer.name for layer in model.layers]


def _weighted_maps(network, x):
    # The last feature maps; what follows them is one layer after the other.
    spatial = [
        len(layer.output.shape) == 4 and "pool" not in layer.name for layer in network.layers
    ]
    end = max(np.flatnonzero(spatial))
    maps = keras.Model(network.inputs[0], network.layers[end].output)(x, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        decision = maps
        for layer in network.layers[end + 1 : -1]:
            decision = layer(decision)
        logits = decision @ network.layers[-1].kernel + network.layers[-1].bias
        odds = logits[:, 1] - logits[:, 0]
    slope = tape.gradient(odds, maps).numpy()
    weights = slope.mean((1, 2), keepdims=True)  # (n, 1, 1, filters)
    return np.maximum((maps.numpy() * weights).sum(-1), 0)


def occlusion(model, X, patch=None, step=None):
    """Compute occlusion maps for PNEUMONIA (Zeiler & Fergus 2014, arXiv:1311.2901).

    How far the log odds fall when a patch is set to the mean gray level of its image. Needs no
    gradients and no knowledge of the network. Of the better network one copy is asked, not nine.

    Parameters
    ----------
    model : keras.Model
        Of any training function of `xraylib.model` or `xraylib.beyond`.
    X : (n, size, size, 1) float32 in [0, 1]
    patch, step : int, optional
        Side of the patch and by how much it moves, in pixels; by default a quarter and a fourteenth
        of the side.

    Returns
    -------
    (n, size, size) float32 in [0, 1]
        Scaled as by `grad_cam`.

    Raises
    ------
    ValueError
        If `X` has another shape or values outside [0, 1], or some pixels would never be covered.

    Examples
    --------
    >>> from xraylib.model import build_model
    >>> occlusion(build_model(), np.zeros((2, 28, 28, 1), np.float32), step=7).shape
    (2, 28, 28)
    """
    check_arrays(X, shape=model.input_shape[1:])
    size = X.shape[1]
    patch = max(size // 4, 1) if patch is None else patch
    step = max(size // 14, 1) if step is None else step
    if not 0 < step <= patch <= size:
        raise ValueError(
            f"A patch of {patch} that moves by {step} does not cover {size} pixels: give a step of "
            "at most the patch, and a patch of at most the image."
        )
    log_odds_of = _log_odds_of(model)
    before = log_odds_of(X)
    mean = X.mean((1, 2, 3), keepdims=True)
    total = np.zeros(X.shape[:3])
    times = np.zeros((size, size))
    starts = sorted({*range(0, size - patch + 1, step), size - patch})  # up to the last pixel
    for top in starts:
        for left in starts:
            covered = X.copy()
            place = np.s_[top : top + patch, left : left + patch]
            covered[:, *place] = mean
            total[:, *place] += (before - log_odds_of(covered))[:, None, None]
            times[place] += 1
    return _scale(np.maximum(total / times, 0).astype(np.float32))


def peaks_inside(maps, masks):
    """Tell which maps have their peak inside the mask (the pointing game: Zhang et al. 2016).

    Parameters
    ----------
    maps : (n, size, size) float
    masks : (n, side, side) bool
        Of any side; read at the centre of the peak's pixel.

    Returns
    -------
    (n,) bool
        A map that is 0 everywhere points nowhere and counts as False.

    Examples
    --------
    >>> maps = np.zeros((1, 2, 2))
    >>> maps[0, 1, 1] = 1
    >>> peaks_inside(maps, np.ones((1, 8, 8), bool)).tolist()
    [True]
    """
    n, size, _ = maps.shape
    flat = maps.reshape(n, -1)
    row, column = np.unravel_index(flat.argmax(1), (size, size))
    scale = masks.shape[1] / size
    row = (row * scale + scale / 2).astype(int)
    column = (column * scale + scale / 2).astype(int)
    return masks[np.arange(n), row, column] & (flat.max(1) > 0)


def _log_odds_of(model):
    """A function from images to the log odds of PNEUMONIA, traced: it is asked once a patch."""
    network = model.get_layer("network") if _is_better(model) else None
    views = NormalizedViews()

    @tf.function(autograph=False)
    def log_odds_of(x):
        if network is None:
            logits = logits_of(model, x)
        else:
            logits = tf.reduce_mean(network(views(x), training=False), 1)
        return logits[:, 1] - logits[:, 0]

    return lambda X: log_odds_of(tf.constant(X, tf.float32)).numpy()


def _scale(maps):
    top = maps.max((1, 2), keepdims=True)
    return np.divide(maps, top, out=np.zeros_like(maps), where=top > 0)
