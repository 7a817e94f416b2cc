"""Opacities of phantoms in normal radiographs: where they go, and what they teach."""

import numpy as np
import pytest

from xraylib.beyond.insertion import insert_opacity, scaled, teach_insertion
from xraylib.beyond.robust import build_looking
from xraylib.beyond.segmentation import find_lungs
from xraylib.beyond.teaching import Chance, draw_teachers
from xraylib.beyond.unet import SIDE
from xraylib.quiet import tf


@pytest.fixture(scope="module")
def drawn():
    return draw_teachers(80, seed=8)


@pytest.fixture(scope="module")
def healthy(drawn):
    return drawn[~drawn[..., 2].any((1, 2))]


@pytest.fixture(scope="module")
def pairs(drawn, healthy):
    """Healthy phantoms, and as many with an opacity."""
    diseased = drawn[drawn[..., 2].any((1, 2))][: len(healthy)]
    return scaled(tf.constant(healthy[..., :2])), scaled(tf.constant(diseased))


@pytest.fixture(scope="module")
def inserted(pairs):
    x, masks = insert_opacity(*pairs, Chance(len(pairs[0]), 0, 0))
    return x.numpy()[..., 0], masks.numpy()


@pytest.fixture(scope="module")
def before(pairs):
    """The same crops without an opacity."""
    healthy, diseased = pairs
    return insert_opacity(healthy, 0 * diseased, Chance(len(healthy), 0, 0))[0].numpy()[..., 0]


def test_some_but_not_all_images_get_an_opacity(inserted):
    assert 0.3 < (inserted[1][..., 1] > 0.5).any((1, 2)).mean() < 0.8


def test_an_opacity_lies_in_the_lungs_and_is_denser(inserted, before):
    x, masks = inserted
    lungs, opacity = np.moveaxis(masks, -1, 0) > 0.5
    assert not (opacity & (masks[..., 0] < 0.3)).any()
    assert (x - before)[opacity].mean() > 0.03
    assert (x - before).min() >= -1e-6


def test_what_gets_none_stays_as_it_was(inserted, before):
    unchanged = np.abs(inserted[0] - before).max((1, 2)) == 0
    assert unchanged.any()
    assert not inserted[1][unchanged, ..., 1].any()


def test_gray_levels_are_those_of_the_crop(before, healthy):
    assert before.shape == (len(healthy), SIDE, SIDE)
    assert before.min() >= 0 and before.max() <= 1


def test_the_same_step_inserts_the_same(pairs, inserted):
    again = insert_opacity(*pairs, Chance(len(pairs[0]), 0, 0))[0].numpy()[..., 0]
    other = insert_opacity(*pairs, Chance(len(pairs[0]), 0, 1))[0].numpy()[..., 0]
    assert np.array_equal(again, inserted[0])
    assert np.abs(other - again).mean() > 0.01


def test_what_is_normal_here_is_told_better_from_opacities_afterwards(drawn, healthy):
    def veiled(planes):
        """Images of a hospital in which everybody's right lung has a veil."""
        X = planes[..., :1] / np.float32(255)
        veil = find_lungs(X)[..., None] * (np.arange(128) < 64)[None, None, :, None]
        return X + np.float32(0.4) * veil * np.maximum(0.7 - X, 0)

    X, X_diseased = veiled(healthy), veiled(drawn[drawn[..., 2].any((1, 2))][:20])
    taught = teach_insertion(X, drawn, epochs=4)
    assert not taught.trainable_weights
    gaps = []
    for marking in (None, taught):
        looking = build_looking(128, marking)
        normal, diseased = (looking(each)[2].numpy().mean() for each in (X, X_diseased))
        gaps.append(diseased - normal)
    assert gaps[1] > gaps[0]
