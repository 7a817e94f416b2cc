"""Opacities of phantoms, inserted into a hospital's normal radiographs: what teaches the U-Net that
marks opacities how healthy lungs of patients look (lesion insertion: Pezeshk et al. 2017,
doi:10.1109/TMI.2016.2640180).

The same radiograph is seen with an opacity and without, so neither its exposure nor its framing
tells which it is. Two things keep the U-Net from learning this hospital alone: half of each batch
are phantoms, and its weights end between those that it had before and those that it has learned
(Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903).
"""

import numpy as np

from xraylib.beyond.segmentation import find_lungs, load_network
from xraylib.beyond.teaching import Chance, any_crop, any_exposure
from xraylib.beyond.training import fit_resumable, shuffled_rows
from xraylib.beyond.unet import SIDE, Standardise, build_unet
from xraylib.quiet import keras, tf

EPOCHS = 7  # of the phantoms
BATCH = 16  # phantoms, and as many radiographs
INSERTED = 0.6  # proportion of the radiographs that get an opacity
LEARNED = 0.7  # proportion of the way from the weights before to those learned


def teach_insertion(X, drawn, *, seed=0, epochs=EPOCHS, checkpoint_dir=None):
    """Teach the package's second U-Net further, with normal radiographs.

    Parameters
    ----------
    X : (n, 128, 128, 1) float32 in [0, 1]
        Radiographs without opacity; `find_lungs` tells where their lungs are.
    drawn : (m, 128, 128, 3) uint8
        From `xraylib.beyond.teaching.draw_teachers`; some with an opacity.
    seed : int, optional
    epochs : int, optional
    checkpoint_dir : Path, optional
        Where an interrupted training leaves its last whole epoch and goes on from it.

    Returns
    -------
    keras.Model
        As `xraylib.beyond.segmentation.load_network` returns it.
    """
    normal = tf.constant(np.concatenate([X, find_lungs(X)[..., None]], -1))
    phantoms = tf.constant(drawn)
    diseased = tf.constant(drawn[drawn[..., 2].any((1, 2))])
    steps = max(len(drawn) // BATCH, 1)
    phantom_rows = shuffled_rows(len(drawn), BATCH, steps, seed)
    normal_rows = shuffled_rows(len(X), BATCH, max(len(X) // BATCH, 1), seed + 1)

    def batch(step):
        planes = scaled(tf.gather(phantoms, phantom_rows(step)))
        x, masks = any_crop(planes, Chance(tf.shape(planes)[0], seed, step))
        planes = tf.gather(normal, normal_rows(step))
        n = tf.shape(planes)[0]
        chosen = tf.random.stateless_uniform([n], [seed, step], 0, len(diseased), tf.int32)
        chance = Chance(n, seed + 1, step)
        own, own_masks = insert_opacity(planes, scaled(tf.gather(diseased, chosen)), chance)
        x = tf.concat([x, any_exposure(own, chance)], 0)
        return Standardise(SIDE)(x), tf.concat([masks, own_masks], 0)

    keras.utils.set_random_seed(seed)
    model = build_unet()
    before = load_network("opacity").get_weights()
    model.set_weights(before)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps * epochs, warmup_target=1e-3, warmup_steps=min(50, steps)
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    fit_resumable(
        model,
        batch,
        steps=steps,
        epochs=epochs,
        checkpoint_dir=checkpoint_dir,
        validation_data=batch(tf.constant(-1)),
    )
    both = zip(before, model.get_weights(), strict=True)
    model.set_weights([(1 - LEARNED) * old + LEARNED * new for old, new in both])
    model.trainable = False
    return model


def insert_opacity(normal, diseased, chance):
    """Insert the opacities of phantoms into crops of normal radiographs.

    An opacity takes contrast from the lung: in it a gray level rises by a proportion of its
    distance to roughly the mean gray level outside the lungs. The proportion, its texture and how
    soft its edge is are random; ranges are by eye.

    Parameters
    ----------
    normal : (n, 128, 128, 2) float32 in [0, 1]
        Image and probability of lung.
    diseased : (n, 128, 128, 3) float32 in [0, 1]
        Phantoms: image, lungs, opacity.
    chance : Chance

    Returns
    -------
    (n, 64, 64, 1) and (n, 64, 64, 2) float32
        Images, six of ten with an opacity, fewer where it falls outside the lungs; lungs and
        opacity.
    """
    # `any_crop` gives another exposure to the first plane alone: the image comes last once more.
    _, crop = any_crop(tf.concat([normal, normal[..., :1]], -1), chance)
    lungs, x = tf.split(crop, 2, -1)
    _, masks = any_crop(diseased, chance)
    opacity = masks[..., 1:] * tf.cast(lungs > 0.3, tf.float32)
    opacity *= tf.cast(chance.uniform() < INSERTED, tf.float32)
    soft = tf.where(chance.uniform() < 0.5, _blur(opacity, 5), _blur(opacity, 11))
    texture = tf.clip_by_value(0.85 + 0.25 * chance.field(6), 0.3, 1.1)
    proportion = soft * chance.uniform(0.25, 0.95) * texture * tf.minimum(1.5 * lungs, 1)
    outside = tf.cast(lungs < 0.3, tf.float32)
    level = tf.reduce_sum(x * outside, (1, 2, 3), keepdims=True)
    level /= tf.reduce_sum(outside, (1, 2, 3), keepdims=True) + 1
    x += proportion * tf.maximum(level * chance.uniform(0.9, 1.25) - x, 0)
    return x, tf.concat([lungs, opacity * tf.cast(proportion > 0.1, tf.float32)], -1)


def scaled(planes):
    """Scale gray levels of 0 to 255, of any shape, to [0, 1] float32."""
    return tf.cast(planes, tf.float32) / 255


def _blur(x, size):
    """Average over a square, the image mirrored at its border."""
    edge = size // 2
    wide = tf.pad(x, [[0, 0], [edge, edge], [edge, edge], [0, 0]], mode="REFLECT")
    return tf.nn.avg_pool2d(wide, size, 1, "VALID")
