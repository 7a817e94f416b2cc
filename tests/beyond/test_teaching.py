"""How phantoms teach: what varies, what does not, and that it can be done again."""

import contextlib
import io
from functools import partial
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
)
from xraylib.beyond.unet import SIDE, Standardise, build_unet
from xraylib.quiet import tf

WIDTHS = (8, 16)  # of small networks


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


@pytest.fixture(scope="module")
def taught(planes, tmp_path_factory):
    """A file of weights of small networks, their losses, and what was printed."""
    folder = tmp_path_factory.mktemp("taught")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setenv("XRAYLIB_CACHE", str(folder))
        patch.setattr(teaching, "PHANTOMS", 96)
        patch.setattr(teaching, "draw_teachers", lambda n, seed: planes[:n])
        patch.setattr(teaching, "EPOCHS", {"lungs": 15, "opacity": 1})
        patch.setattr(teaching, "teach", partial(teaching.teach, widths=WIDTHS))
        losses = teaching.teach_both(folder / "weights.npz")
    return folder / "weights.npz", losses, printed.getvalue()


@pytest.fixture
def load_taught(taught, monkeypatch):
    """The package's `load_network`, for that file."""
    monkeypatch.setattr(segmentation, "WEIGHTS", taught[0])
    monkeypatch.setattr(segmentation, "build_unet", partial(build_unet, widths=WIDTHS))
    return segmentation.load_network


def test_both_networks_are_written_in_one_file_that_is_read_again(taught, load_taught):
    _, losses, printed = taught
    assert {stage: len(values) for stage, values in losses.items()} == {"lungs": 15, "opacity": 1}
    assert "96 phantoms" in printed
    assert load_taught("opacity").output_shape == (None, SIDE, SIDE, 2)


def test_a_small_network_learns_where_the_lungs_are(taught, load_taught):
    _, losses, _ = taught
    assert losses["lungs"][-1] < losses["lungs"][0]
    others = draw_teachers(16, seed=4)
    x = Standardise(SIDE)(tf.constant(others[..., :1] / np.float32(255)))
    masks = tf.image.resize(others.astype(np.float32), (SIDE, SIDE), "area").numpy()[..., 1] > 127
    logits = load_taught("lungs")(x)[..., 0].numpy()
    assert roc_auc_score(masks.ravel(), logits.ravel()) > 0.8


def test_docstrings_are_no_part_of_the_recipe(tmp_path, monkeypatch):
    copy = tmp_path / "unet.py"
    source = Path(teaching.unet.__file__).read_text()
    copy.write_text(source.replace("Build a U-Net", "Build the U-Net"))
    before = teaching.recipe()
    monkeypatch.setattr(teaching.unet, "__file__", str(copy))
    assert teaching.recipe() == before
    copy.write_text(source.replace("filters, 3,", "filters, 5,"))
    assert teaching.recipe() != before
