"""How phantoms teach: what varies, what does not, and that it can be done again."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from xraylib.beyond import segmentation, teaching
from xraylib.beyond.teaching import (
    Chance,
    any_crop,
    any_exposure,
    any_framing,
    draw_teachers,
    teach,
)
from xraylib.beyond.unet import SIDE, Standardise
from xraylib.quiet import tf


@pytest.fixture(scope="module")
def planes():
    return draw_teachers(96, seed=3)


@pytest.fixture(scope="module")
def batch(planes):
    return tf.constant(planes[:16], tf.float32) / 255


def test_teachers_are_images_with_two_masks(planes):
    assert planes.shape == (96, 128, 128, 3) and planes.dtype == np.uint8
    lungs, opacity = planes[..., 1] > 127, planes[..., 2] > 127
    assert 0.05 < lungs.mean() < 0.4
    assert not (opacity & (planes[..., 1] == 0)).any()
    assert 0.5 < opacity.any((1, 2)).mean() < 0.95


@pytest.mark.parametrize("vary", [any_framing, any_crop])
def test_the_same_step_gives_the_same_batch_and_another_step_another(batch, vary):
    first, again, other = (vary(batch, Chance(16, 5, step))[0].numpy() for step in (7, 7, 8))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 0.02


@pytest.mark.parametrize("vary", [any_framing, any_crop])
def test_image_and_masks_are_moved_together(batch, vary):
    lungs_as_image = tf.concat([batch[..., 1:2], batch[..., 1:]], -1)
    x, masks = vary(lungs_as_image, Chance(16, 0, 0))
    x, lungs = x.numpy()[..., 0], masks.numpy()[..., 0]
    correlations = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(x, lungs, strict=True)]
    assert x.shape == lungs.shape == (16, SIDE, SIDE)
    assert np.median(correlations) > 0.7


def test_a_crop_shows_the_lungs_large(batch):
    _, masks = any_crop(batch, Chance(16, 0, 0))
    assert masks.numpy()[..., 0].mean() > 1.5 * batch.numpy()[..., 1].mean()


def test_exposure_moves_nothing(batch):
    x = any_exposure(tf.image.resize(batch[..., :1], (SIDE, SIDE)), Chance(16, 0, 0)).numpy()
    before = tf.image.resize(batch[..., :1], (SIDE, SIDE)).numpy()
    pairs = zip(x, before, strict=True)
    assert np.median([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]) > 0.75


def test_a_small_network_learns_where_the_lungs_are(planes):
    model, history = teach("lungs", planes, planes[:16], epochs=30, widths=(8, 16))
    assert history["val_loss"][-1] < history["val_loss"][0]
    others = draw_teachers(16, seed=4)
    x = Standardise(SIDE)(tf.constant(others[..., :1] / np.float32(255)))
    masks = tf.image.resize(others.astype(np.float32), (SIDE, SIDE), "area").numpy()[..., 1] > 127
    logits = model.predict_on_batch(x)[..., 0]
    assert roc_auc_score(masks.ravel(), logits.ravel()) > 0.8


def test_both_networks_are_written_in_one_file_that_is_read_again(cache, monkeypatch, capsys):
    monkeypatch.setattr(teaching, "PHANTOMS", 32)
    monkeypatch.setattr(teaching, "EPOCHS", {"lungs": 1, "opacity": 1})
    path = cache / "weights.npz"
    losses = teaching.teach_both(path)
    assert {stage: len(values) for stage, values in losses.items()} == teaching.EPOCHS
    assert "32 phantoms" in capsys.readouterr().out
    monkeypatch.setattr(segmentation, "WEIGHTS", path)
    assert segmentation.load_network("opacity").output_shape == (None, SIDE, SIDE, 2)


def test_docstrings_are_no_part_of_the_recipe(tmp_path, monkeypatch):
    copy = tmp_path / "unet.py"
    source = Path(teaching.unet.__file__).read_text()
    copy.write_text(source.replace("Build a U-Net", "Build the U-Net"))
    before = teaching.recipe()
    monkeypatch.setattr(teaching.unet, "__file__", str(copy))
    assert teaching.recipe() == before
    copy.write_text(source.replace("filters, 3,", "filters, 5,"))
    assert teaching.recipe() != before
