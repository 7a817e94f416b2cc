"""The robust network: at home it uses what the hospital's labels taught, elsewhere above all what
opacities of phantoms taught, and it knows how unlike its training images an image is.

At home three better networks answer, trained on the hospital's images and on phantoms: one sees the
lungs, cropped, two the whole image, with all that is this hospital's habit. Elsewhere they count
for a fifth, and a U-Net that marks opacities in the crop for the rest: no patient's opacity
has taught it, only those of phantoms, in phantoms and inserted into this hospital's normal images.
What decides between them is how unlike the training images an image is: a linear discriminant of
what both U-Nets see in it, fitted on the training images and, for what is unlike them, on phantoms
of adults and on the training images in other framings and upside down (outlier exposure:
Hendrycks, Mazeika & Dietterich 2019, arXiv:1812.04606).
"""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from xraylib import phantoms as drawing
from xraylib.beyond import insertion, residual, segmentation, teaching, unet
from xraylib.beyond.insertion import teach_insertion
from xraylib.beyond.residual import train_better_model
from xraylib.beyond.segmentation import WEIGHTS, load_network
from xraylib.beyond.teaching import DRAWN, Chance, any_framing, draw_teachers
from xraylib.beyond.unet import SIDE, Crop, LungBox, Standardise, registered
from xraylib.preprocessing import check_arrays
from xraylib.quiet import keras, layers, ops, tf

REFUSED = 0.01  # proportion of the validation images whose unfamiliarity is above 1
STRONGEST = 0.10  # proportion of a crop's pixels whose mean opacity is what the U-Nets answer
ELSEWHERE = 0.8  # weight of the U-Nets' answer where an image is refused
#: The home experts: name, which view each sees (0 is the crop, 1 the whole image), what is added to
#: the seed. The second of the whole image makes all of them surer (an ensemble).
HOME = (("crop", 0, 0), ("whole", 1, 0), ("again", 1, 1000))
SEEN = (1, 3, 5, 7, 9, 11, 13)  # of the U-Nets' layers, from 0: whose feature maps are looked at
PENALTY = 1e-4  # inverse strength of the ridge penalty on the discriminant


def train_robust_model(
    X, y, X_validation, y_validation, *, seed=0, epochs=12, phantoms=1000, checkpoint_dir=None
):
    """Train the robust network; in it the package's U-Nets, of which one goes on learning.

    Parameters
    ----------
    X, X_validation : (n, size, size, 1) float32 in [0, 1]
        Size 28 to 128 pixels.
    y, y_validation : (n,) int
        0 is NORMAL, 1 is PNEUMONIA.
    seed : int
    epochs : int, optional
        Of each home expert, see `train_better_model`.
    phantoms : int, optional
        That all networks see besides the hospital's images.
    checkpoint_dir : Path, optional
        Where an interrupted training leaves its last whole epoch and goes on from it.

    Returns
    -------
    model : keras.Model
        From (n, size, size, 1) to two logits, for `xraylib.model.predict_proba` and
        `unfamiliarity`.
    history : dict of lists of float
        That of the last home expert, which sees the whole image.

    Raises
    ------
    ValueError
        If an array has another shape, size or range of values, another length than its labels, or
        no image, none is NORMAL, or the validation images are of one class.

    Examples
    --------
    >>> X, y = np.zeros((8, 20, 20, 1), np.float32), np.arange(8) % 2
    >>> train_robust_model(X, y, X, y)
    Traceback (most recent call last):
    ValueError: The robust network takes images of 28 to 128 pixels, not 20.
    """
    check_arrays(X, y)
    check_arrays(X_validation, y_validation, np.shape(X)[1:])
    size = X.shape[1]
    if not 28 <= size <= 128:
        raise ValueError(f"The robust network takes images of 28 to 128 pixels, not {size}.")

    X, X_validation = np.float32(X), np.float32(X_validation)
    normal = X[np.equal(y, 0)]
    if len(normal) == 0:
        raise ValueError("The robust network needs NORMAL images among those that train it.")

    if len(np.unique(y_validation)) < 2:
        raise ValueError("The robust network needs validation images of both classes.")

    # Phantoms, as sharp as the images; what they teach goes on with their opacities in the images
    # of this hospital that have none.
    drawn = draw_teachers(phantoms, 1000 + seed)
    X_phantoms = resize(drawn[..., :1] / np.float32(255), size)
    y_phantoms = drawn[..., 2].max((1, 2)) // 255
    drawn[..., :1] = 255 * resize(X_phantoms, DRAWN)
    marking = teach_insertion(
        resize(normal, DRAWN),
        drawn,
        seed=seed,
        checkpoint_dir=checkpoint_dir and Path(checkpoint_dir) / "opacity",
    )

    # What both U-Nets tell: the crop, the opacity in it, and what they see.
    looking = build_looking(size, marking)
    *views, _, seen = ask(looking, X)
    *views_validation, _, seen_validation = ask(looking, X_validation)
    *views_phantoms, _, seen_phantoms = ask(looking, X_phantoms)

    # The home experts, smaller for the whole image: the hospital's labels, and the phantoms'.
    y_home = np.concatenate([y, y_phantoms])
    experts = []
    logits = 0
    for name, view, more in HOME:
        expert, history = train_better_model(
            np.concatenate([views[view], views_phantoms[view]]),
            y_home,
            views_validation[view],
            y_validation,
            seed=seed + more,
            epochs=epochs,
            small=True if view else None,
            checkpoint_dir=checkpoint_dir and Path(checkpoint_dir) / name,
        )
        experts.append(expert)
        logits = logits + ask(expert, views_validation[view])[0]

    # What is like the training images, children among the phantoms too; and what is not: adults,
    # the training images in any framing, and upside down (a sample: splits come sorted by class).
    children = np.arange(phantoms) % 2 == 0
    chosen = X[np.random.default_rng(seed).permutation(len(X))[: 2 * phantoms]]
    strangers = np.concatenate([any_framed(chosen, seed), chosen[::6, ::-1]])
    distance = Unfamiliarity(name="unfamiliarity")
    distance.fit(
        np.concatenate([seen, seen_phantoms[children]]),
        np.concatenate([seen_phantoms[~children], ask(looking, strangers)[-1]]),
        seen_validation,
    )

    # From log odds to the answer: elsewhere fitted on phantoms that have taught nothing, at home on
    # the validation images. All home experts count alike: by those images alone, which share the
    # hospital's habits, the crop would count for next to nothing.
    others = draw_teachers(phantoms // 2, 3000 + seed)
    opacity = ask(looking, resize(others[..., :1] / np.float32(255), size))[2]
    elsewhere = _fit(opacity, others[..., 2].max((1, 2)) // 255)
    at_home = _fit(logits[:, 1] - logits[:, 0], y_validation)
    *views, opacity, features = looking.output
    home = layers.Add()(
        [expert(views[view]) for expert, (_, view, _) in zip(experts, HOME, strict=True)]
    )
    answer = Choose(at_home, elsewhere, name="choose")([home, opacity, distance(features)])
    return keras.Model(looking.input, answer), history


# What else decides the trained network, for `xraylib.cached.load_trained`.
train_robust_model.made_of = (
    WEIGHTS,
    *train_better_model.made_of,
    *(Path(module.__file__) for module in (insertion, residual, segmentation, teaching, unet)),
    *sorted(Path(drawing.__file__).parent.glob("*.py")),
)


def unfamiliarity(model, X):
    """Tell how unlike the training images each image is.

    Parameters
    ----------
    model : keras.Model
        From `train_robust_model`.
    X : (n, size, size, 1) float32 in [0, 1]
        Of the size that `model` was trained on.

    Returns
    -------
    (n,) float32, 0 or more
        The odds that what both U-Nets see is unlike the training images, relative to those that
        only 1% of the validation images exceed: above 1 an image is refused.

    Raises
    ------
    ValueError
        If `model` is another network, or `X` has another shape or values outside [0, 1].

    Examples
    --------
    >>> unfamiliarity(keras.Sequential([keras.Input((28, 28, 1))]), np.zeros((1, 28, 28, 1)))
    Traceback (most recent call last):
    ValueError: Only a network from train_robust_model knows how unfamiliar an image is.
    """
    if not knows_unfamiliar(model):
        raise ValueError("Only a network from train_robust_model knows how unfamiliar an image is.")
    check_arrays(X, shape=model.input_shape[1:])
    distance = keras.Model(model.input, model.get_layer("unfamiliarity").output)
    return ask(distance, X)[0] if len(X) else np.empty(0, np.float32)


def knows_unfamiliar(model):
    """Tell whether a network comes from `train_robust_model`.

    Examples
    --------
    >>> knows_unfamiliar(keras.Sequential([keras.Input((28, 28, 1))]))
    False
    """
    return any(isinstance(layer, Unfamiliarity) for layer in model.layers)


def build_looking(size, marking=None):
    """Build what both experts share: the crop, the opacity in it, and what the U-Nets see.

    Parameters
    ----------
    size : int
        Side of the images, pixels.
    marking : keras.Model, optional
        The U-Net that marks opacities; by default the package's.

    Returns
    -------
    keras.Model
        From (n, size, size, 1) to the crop and the whole image, each (n, 28, 28, 1) float32 in
        [0, 1], the log odds of opacity (n,) and means and standard deviations of feature maps
        (n, 1024).

    Examples
    --------
    >>> [output.shape for output in build_looking(28).output]
    [(None, 28, 28, 1), (None, 28, 28, 1), (None,), (None, 1024)]
    """
    inputs = keras.Input((size, size, 1))
    lungs, features = seeing(load_network("lungs"), "lungs")(Standardise(SIDE)(inputs))
    box = LungBox()(ops.sigmoid(lungs))
    standardised = Standardise(SIDE)(Crop(SIDE)([inputs, box]))
    marking = seeing(marking or load_network("opacity"), "opacity")
    opacity, more_features = marking(standardised)
    mirrored, _ = marking(ops.flip(standardised, 2))
    log_odds = (_strongest(opacity) + _strongest(mirrored)) / 2
    crop = ops.clip(Crop(28)([inputs, box]), 0, 1)
    whole = ops.clip(ops.image.resize(inputs, (28, 28), antialias=True), 0, 1)
    seen = ops.concatenate([features, more_features], 1)
    return keras.Model(inputs, [crop, whole, log_odds, seen])


def _strongest(logits):
    """The mean of the strongest pixels that lie in the lungs and in an opacity, as log odds."""
    inside = ops.reshape(ops.prod(ops.sigmoid(logits), -1), (-1, SIDE * SIDE))
    strongest = ops.top_k(inside, round(STRONGEST * SIDE * SIDE))[0]
    proportion = ops.clip(ops.mean(strongest, 1), 1e-3, 1 - 1e-3)
    return ops.log(proportion) - ops.log(1 - proportion)


def seeing(network, name):
    """Have a U-Net tell the statistics of its feature maps besides.

    Parameters
    ----------
    network : keras.Model
        As `xraylib.beyond.unet.build_unet` builds it.
    name : str

    Returns
    -------
    keras.Model
        From standardised images (n, 64, 64, 1) to logits (n, 64, 64, 2), and to mean and standard
        deviation of each feature map on the way (n, features).
    """
    maps = [layer.output for layer in network.layers if isinstance(layer, layers.ReLU)]
    statistics = [f(maps[at], axis=(1, 2)) for at in SEEN for f in (ops.mean, ops.std)]
    statistics = layers.Concatenate(name="statistics")(statistics)
    return keras.Model(network.input, [network.output, statistics], name=name)


def resize(X, size):
    """Resize images, (n, s, s, 1) to (n, size, size, 1) float32.

    Examples
    --------
    >>> resize(np.zeros((2, 64, 64, 1), np.float32), 28).shape
    (2, 28, 28, 1)
    """
    return np.clip(ops.image.resize(X, (size, size), antialias=True).numpy(), 0, 1)


def any_framed(X, seed):
    """Give images any framing, surroundings and exposure, as `xraylib.beyond.teaching` does.

    Parameters
    ----------
    X : (n, size, size, 1) float32 in [0, 1]
    seed : int

    Returns
    -------
    (n, size, size, 1) float32 in [0, 1]

    Examples
    --------
    >>> any_framed(np.zeros((2, 28, 28, 1), np.float32), seed=0).shape
    (2, 28, 28, 1)
    """
    planes = resize(X, DRAWN).repeat(3, -1)
    framed, _ = any_framing(tf.constant(planes), Chance(len(X), seed, 0))
    least = tf.reduce_min(framed, (1, 2, 3), keepdims=True)
    greatest = tf.reduce_max(framed, (1, 2, 3), keepdims=True)
    return resize((framed - least) / (greatest - least + 1e-6), X.shape[1])


@registered
class Unfamiliarity(layers.Layer):
    """A linear discriminant of what the U-Nets see, (n, d) to (n,): 1 is where refusal begins."""

    def build(self, shape):
        self.mean = self.add_weight(shape=(shape[-1],), trainable=False, name="mean")
        self.scale = self.add_weight(shape=(shape[-1],), trainable=False, name="scale")
        self.weight = self.add_weight(shape=(shape[-1],), trainable=False, name="weight")
        self.limit = self.add_weight(shape=(), trainable=False, name="limit")

    def fit(self, alike, unlike, validation):
        """Tell apart what is like and unlike the training images; set the limit on validation."""
        self.build(alike.shape)
        self.set_weights(
            [alike.mean(0), alike.std(0) + 1e-4, np.zeros(alike.shape[1]), np.zeros(())]
        )
        features = self.standardise(np.concatenate([alike, unlike])).numpy()
        is_unlike = np.arange(len(features)) >= len(alike)
        # So strong a penalty that weights are shared by all features that tell something.
        discriminant = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=1000)
        self.weight.assign(discriminant.fit(features, is_unlike).coef_[0])
        log_distance = self.standardise(validation).numpy() @ self.weight.numpy()
        self.limit.assign(np.quantile(log_distance, 1 - REFUSED))

    def standardise(self, features):
        return ops.clip((features - self.mean) / self.scale, -8, 8)

    def call(self, features):
        return ops.exp(ops.matmul(self.standardise(features), self.weight) - self.limit)


@registered
class Choose(layers.Layer):
    """Answer with the home experts, the less so the more unfamiliar an image is; where it is
    refused, they count for a fifth and the U-Nets for the rest.

    From [the sum of the home experts' logits (n, 2), log odds of opacity (n,), unfamiliarity (n,)]
    to two logits (n, 2). Each answer is weighted log odds and a constant.
    """

    def __init__(self, at_home, elsewhere, **options):
        super().__init__(**options)
        self.at_home = list(at_home)
        self.elsewhere = list(elsewhere)

    def call(self, inputs):
        home, opacity, unfamiliar = inputs
        a, b = self.at_home
        c, d = self.elsewhere
        familiar = a * (home[:, 1] - home[:, 0]) + b
        weight = ELSEWHERE * ops.minimum(unfamiliar, 1)  # of the U-Nets' answer
        log_odds = (1 - weight) * familiar + weight * (c * opacity + d)
        return ops.stack([-log_odds / 2, log_odds / 2], 1)

    def get_config(self):
        return {**super().get_config(), "at_home": self.at_home, "elsewhere": self.elsewhere}


def _fit(log_odds, y):
    """Fit a logistic regression; return its weight and its constant."""
    model = LogisticRegression(class_weight="balanced").fit(log_odds[:, None], y)
    return [float(model.coef_[0, 0]), float(model.intercept_[0])]


def ask(model, X):
    """Ask for all outputs of a network, 128 images at a time.

    Parameters
    ----------
    model : keras.Model
    X : (n, size, size, 1) float32 in [0, 1]

    Returns
    -------
    list of ndarray
        One for each output.

    Examples
    --------
    >>> [a.shape for a in ask(build_looking(28), np.zeros((3, 28, 28, 1)))]
    [(3, 28, 28, 1), (3, 28, 28, 1), (3,), (3, 1024)]
    """
    answer = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    parts = [
        tf.nest.flatten(answer(tf.constant(X[i : i + 128], tf.float32)))
        for i in range(0, len(X), 128)
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]
