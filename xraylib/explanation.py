"""Which part of a radiograph a network's answer hangs on: two kinds of map, and how often they point at the truth."""

import numpy as np
from PIL import Image

from xraylib.better import Views, network_of
from xraylib.evaluation import log_odds
from xraylib.model import predict_proba
from xraylib.quiet import keras, tf


def grad_cam(model, X):
    """Grad-CAM maps for PNEUMONIA (Selvaraju et al. 2017, arXiv:1610.02391).

    `model` is what a training function of `xraylib.model` returns, `X` is (n, size, size, 1) float32 in [0, 1]. The
    last feature maps before the decision are weighted by how much the log odds of PNEUMONIA grow with them, summed,
    and what speaks against it is set to 0; of the better network's two branches the mean is taken. Returns (n, size,
    size) float32, each map scaled to a maximum of 1 (a map without anything in favour stays 0).
    """
    maps = [_scale(_resize(_weighted_maps(*part), X.shape[1])) for part in _parts(model, X)]
    return _scale(np.mean(maps, 0))


def _is_better(model):
    return "network" in [layer.name for layer in model.layers]


def _parts(model, X):
    """Each branch of a network with what it reads: the better network has two, the described one is one."""
    if not _is_better(model):
        return [(model, X)]
    branches = [layer for layer in network_of(model).layers if isinstance(layer, keras.Model)]
    return zip(branches, Views()(tf.constant(X, tf.float32)), strict=True)


def _weighted_maps(branch, X):
    spatial = [len(layer.output.shape) == 4 and "pool" not in layer.name for layer in branch.layers]
    end = max(np.flatnonzero(spatial))  # the last feature maps; what follows is one layer after the other
    maps = keras.Model(branch.inputs[0], branch.layers[end].output)(X, training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        decision = maps
        for layer in branch.layers[end + 1 : -1]:
            decision = layer(decision)
        logits = decision @ branch.layers[-1].kernel + branch.layers[-1].bias
        odds = logits[:, 1] - logits[:, 0]
    slope = tape.gradient(odds, maps).numpy()
    return np.maximum((maps.numpy() * slope.mean((1, 2), keepdims=True)).sum(-1), 0)


def occlusion(model, X, patch=None, step=None):
    """Occlusion maps for PNEUMONIA (Zeiler & Fergus 2014): how far the log odds fall when a patch is made gray.

    The patch (a quarter of the side by default) takes the mean gray value of its image and moves by `step` pixels (a
    fourteenth of the side). Needs no gradients and no knowledge of the network. Of the better network one copy is
    asked, not nine. Shapes and scale as `grad_cam`.
    """
    size = X.shape[1]
    patch, step = patch or max(size // 4, 1), step or max(size // 14, 1)
    ask = _log_odds_of(model)
    before = ask(X)
    mean = X.mean((1, 2, 3), keepdims=True)
    total, times = np.zeros(X.shape[:3]), np.zeros((size, size))
    for top in range(0, size - patch + 1, step):
        for left in range(0, size - patch + 1, step):
            covered = X.copy()
            place = np.s_[top : top + patch, left : left + patch]
            covered[:, *place] = mean
            total[:, *place] += (before - ask(covered))[:, None, None]
            times[place] += 1
    return _scale(np.maximum(total / np.maximum(times, 1), 0).astype(np.float32))


def peaks_inside(maps, masks):
    """Which maps have their peak inside the mask: (n,) bool.

    `maps` is (n, size, size); `masks` is (n, side, side) bool, of any side; it is read at the centre of
    the peak's pixel. A map that is 0 everywhere points nowhere and counts as False.
    """
    n, size, _ = maps.shape
    row, column = np.unravel_index(maps.reshape(n, -1).argmax(1), (size, size))
    scale = masks.shape[1] / size
    rows, columns = ((centre * scale + scale / 2).astype(int) for centre in (row, column))
    return masks[np.arange(n), rows, columns] & (maps.reshape(n, -1).max(1) > 0)


def _log_odds_of(model):
    """A function from images to the log odds of PNEUMONIA, traced: it is asked once for each place of the patch."""
    if not _is_better(model):
        return lambda X: log_odds(predict_proba(model, X))
    network, views = network_of(model), Views()

    @tf.function(autograph=False)
    def ask(x):
        logits = tf.reduce_mean(network(views(x), training=False), 1)
        return logits[:, 1] - logits[:, 0]

    return lambda X: ask(tf.constant(X, tf.float32)).numpy()


def _resize(maps, size):
    pictures = [Image.fromarray(m.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR) for m in maps]
    return np.stack([np.asarray(picture) for picture in pictures])


def _scale(maps):
    top = maps.max((1, 2), keepdims=True)
    return np.divide(maps, top, out=np.zeros_like(maps), where=top > 0)
