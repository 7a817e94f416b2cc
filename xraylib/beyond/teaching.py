"""How phantoms teach two U-Nets where to look: the lungs, and the opacities in a crop of them.

Framing, surroundings and exposure are random and know nothing of the disease; the targets are the
phantoms' masks. No radiograph of a patient is used. ``python -m xraylib teach`` does all of it.
"""

import ast
import io
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

from xraylib import phantoms
from xraylib.beyond import unet
from xraylib.beyond.training import fit_resumable, shuffled_rows
from xraylib.beyond.unet import SIDE, WIDTHS, Crop, LungBox, Standardise, build_unet
from xraylib.files import store
from xraylib.quiet import keras, tf

DRAWN = 128  # pixels on a side of the phantoms that teach
TEACHERS = ("varied children", "adults")  # populations, in turn
EPOCHS = {"lungs": 12, "opacity": 10}
PHANTOMS = 5000
SEED = 0


def draw_teachers(n, seed=0):
    """Draw the phantoms that teach, on all cores.

    Parameters
    ----------
    n : int
    seed : int, optional

    Returns
    -------
    (n, 128, 128, 3) uint8
        Image, lungs and opacity, 0 to 255.

    Examples
    --------
    >>> draw_teachers(1).shape
    (1, 128, 128, 3)
    """
    return np.stack(
        Parallel(n_jobs=-1, batch_size=16)(delayed(_teacher)(i, seed) for i in range(n))
    )


def _teacher(number, seed):
    """Draw one phantom and its masks."""
    phantom = phantoms.draw_phantom(number, seed=seed, population=TEACHERS[number % len(TEACHERS)])
    planes = phantom.image, phantom.lungs * np.uint8(255), phantom.opacity * np.uint8(255)
    return np.stack(
        [np.asarray(Image.fromarray(plane).resize((DRAWN, DRAWN), Image.BOX)) for plane in planes],
        -1,
    )


class Chance:
    """Random numbers that follow from a seed and the number of a step."""

    def __init__(self, n, seed, step):
        self.n = n
        self.seed = tf.stack([tf.cast(seed, tf.int32), tf.cast(step, tf.int32)])
        self.draws = 0

    def uniform(self, low=0.0, high=1.0, shape=(1, 1, 1)):
        """Draw one number an image, (n, 1, 1, 1)."""
        return tf.random.stateless_uniform([self.n, *shape], self._next(), low, high)

    def normal(self, shape):
        """Draw numbers about 0 with a standard deviation of 1, (n, ...)."""
        return tf.random.stateless_normal([self.n, *shape], self._next())

    def field(self, cells, side=SIDE):
        """Draw a smooth field about 0, (n, side, side, 1)."""
        return tf.image.resize(self.normal((cells, cells, 1)), (side, side), method="bicubic")

    def _next(self):
        self.draws += 1
        return self.seed + tf.constant([self.draws * 7919, 0])


def any_exposure(x, chance):
    """Give an image any display curve, contrast, unevenness, sharpness and noise.

    Parameters
    ----------
    x : (n, side, side, 1) float32 in [0, 1]
    chance : Chance

    Returns
    -------
    (n, side, side, 1) float32
    """
    x = tf.clip_by_value(x, 1e-3, 1.0) ** tf.exp(chance.uniform(-0.9, 0.9))
    # One of two: an S-shaped curve, steep or flat.
    gain = chance.uniform(0.01, 8.0)
    middle = chance.uniform(0.2, 0.8)
    low = tf.sigmoid(-gain * middle)
    high = tf.sigmoid(gain * (1 - middle))
    curved = (tf.sigmoid(gain * (x - middle)) - low) / (high - low)
    x = tf.where(chance.uniform() < 0.5, curved, x)
    x = x * tf.exp(chance.uniform(-0.6, 0.6))
    x += 0.18 * chance.uniform() * chance.field(3, x.shape[1])
    # Sharpened or blurred.
    wide = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    sharpness = chance.uniform(-0.95, 2.0) * tf.where(chance.uniform() < 0.7, 1.0, 0.0)
    x += sharpness * (x - tf.nn.avg_pool2d(wide, 3, 1, "VALID"))
    return x + 0.06 * chance.uniform() * chance.normal(x.shape[1:])


def any_framing(planes, chance):
    """Turn, stretch and shift image and masks, in any surroundings: what teaches to find lungs.

    Parameters
    ----------
    planes : (n, 128, 128, 3) float32 in [0, 1]
    chance : Chance

    Returns
    -------
    (n, 64, 64, 1) and (n, 64, 64, 2) float32
        Image and masks.
    """
    angle, stretch, aspect, right, down = tf.unstack(chance.uniform(-1, 1, (5,)), axis=1)
    zoom = DRAWN / SIDE * tf.exp(0.15 + 0.45 * stretch)
    aspect = tf.exp(0.2 * aspect)
    flip = tf.sign(chance.uniform(-0.3, 1.0, ()))
    # The affine map from a pixel of the result to its place in the drawing.
    a = zoom * aspect * tf.cos(0.2 * angle)
    b = -zoom / aspect * tf.sin(0.2 * angle)
    d = zoom * aspect * tf.sin(0.2 * angle)
    e = zoom / aspect * tf.cos(0.2 * angle)
    middle = (SIDE - 1) / 2
    c = (DRAWN - 1) / 2 - (flip * a + b) * middle + 18 * right
    f = (DRAWN - 1) / 2 - (flip * d + e) * middle + 18 * down
    zero = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.concat([planes, tf.ones_like(planes[..., :1])], -1),
        transforms=tf.stack([flip * a, b, c, flip * d, e, f, zero, zero], 1),
        output_shape=[SIDE, SIDE],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    x, masks, inside = tf.split(tf.ensure_shape(moved, [None, SIDE, SIDE, 4]), [1, 2, 1], axis=-1)
    # Around the drawing: shut and dark, or blankets of any gray.
    level = chance.uniform()
    blankets = tf.clip_by_value(0.6 * level + 0.25 + 0.3 * chance.field(4), 0.0, 1.0)
    x = x * inside + tf.where(chance.uniform() < 0.5, blankets, 0.3 * level) * (1 - inside)
    return any_exposure(x, chance), masks


def any_crop(planes, chance):
    """Crop image and masks to the lungs, roughly: what teaches to find opacities.

    Parameters
    ----------
    planes : (n, 128, 128, 3) float32 in [0, 1]
    chance : Chance

    Returns
    -------
    (n, 64, 64, 1) and (n, 64, 64, 2) float32
        Image and masks.
    """
    box = LungBox()(planes[..., 1:2])
    left, right, top, bottom = tf.unstack(box, axis=1)
    width = (right - left)[:, None]
    height = (bottom - top)[:, None]
    box += 0.07 * tf.concat([width, width, height, height], 1) * chance.uniform(-1, 1, (4,))
    # One of three is mirrored.
    box = tf.where(chance.uniform(shape=(1,)) < 1 / 3, tf.gather(box, [1, 0, 2, 3], axis=1), box)
    x = Crop()([planes, box])
    return any_exposure(x[..., :1], chance), x[..., 1:]


STAGES = {"lungs": any_framing, "opacity": any_crop}


def teach(stage, planes, planes_validation, *, epochs, seed=0, widths=WIDTHS, checkpoint_dir=None):
    """Train one of the two networks on phantoms.

    Parameters
    ----------
    stage : str
        "lungs" or "opacity".
    planes, planes_validation : (n, 128, 128, 3) uint8
        From `draw_teachers`.
    epochs : int
    seed : int, optional
    widths : sequence of int, optional
    checkpoint_dir : Path, optional
        Where an interrupted training leaves its last whole epoch and goes on from it.

    Returns
    -------
    model : keras.Model
        As `build_unet` builds it.
    history : dict of lists of float
    """
    vary = STAGES[stage]
    steps = max(len(planes) // 32, 1)
    rows = shuffled_rows(len(planes), 32, steps, seed)
    images = tf.constant(planes)

    def batch(chosen, step):
        n = tf.shape(chosen)[0]
        x, masks = vary(tf.cast(chosen, tf.float32) / 255, Chance(n, seed, step))
        return Standardise(SIDE)(x), masks

    keras.utils.set_random_seed(seed)
    model = build_unet(SIDE, widths)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps * epochs, warmup_target=3e-3, warmup_steps=min(150, steps)
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    history = fit_resumable(
        model,
        lambda step: batch(tf.gather(images, rows(step)), step),
        steps=steps,
        epochs=epochs,
        checkpoint_dir=checkpoint_dir,
        validation_data=batch(tf.constant(planes_validation), -1),
    )
    return model, history


def teach_both(path):
    """Train both networks as the package's were, and write their weights.

    Some 15 minutes on two cores; after an interruption it goes on where it was.

    Parameters
    ----------
    path : Path
        Of the file of weights: float16 arrays, and ``recipe``, see `recipe`.

    Returns
    -------
    dict of lists of float
        The validation loss of each network, one value an epoch.
    """
    drawn = store.cached("teachers", recipe(), _store_teachers)
    planes = np.load(drawn / "teachers.npy")
    planes_validation = np.load(drawn / "others.npy")
    losses = {}
    weights = {"recipe": np.array(recipe())}
    for stage, epochs in EPOCHS.items():
        print(f"{stage}: {epochs} epochs on {len(planes):,} phantoms", flush=True)
        checkpoint_dir = store.cache_path(f".teach-{stage}", recipe())
        model, history = teach(
            stage, planes, planes_validation, epochs=epochs, checkpoint_dir=checkpoint_dir
        )
        losses[stage] = history["val_loss"]
        for number, values in enumerate(model.get_weights()):
            weights[f"{stage}/{number:02}"] = values.astype(np.float16)
    file = io.BytesIO()
    np.savez_compressed(file, **weights)
    store.atomic_write(path, file.getvalue())
    return losses


def _store_teachers(folder):
    """Draw and store the phantoms that teach, and others to validate."""
    print(f"Drawing {PHANTOMS:,} phantoms", flush=True)
    np.save(folder / "teachers.npy", draw_teachers(PHANTOMS, 100 + SEED))
    np.save(folder / "others.npy", draw_teachers(200, 101 + SEED))


def recipe():
    """Digest the code of phantoms, U-Net and teaching; docstrings and comments are no part of it.

    As Python 3.11 words a syntax tree: another version gives another digest.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> len(recipe())
    16
    """
    files = [
        Path(__file__),
        Path(unet.__file__),
        *sorted(Path(phantoms.__file__).parent.glob("*.py")),
    ]
    trees = []
    for file in files:
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):  # a docstring is an expression that is a constant
            if isinstance(getattr(node, "body", None), list):
                node.body = [each for each in node.body if not _is_constant(each)]
        trees.append(ast.dump(tree))
    return store.content_key(*trees)


def _is_constant(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
