"""What is drawn: its truth, its order, its files, and its independence of the machine."""

import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from xraylib import phantoms

PAIRS = phantoms.patients_and_images(24, seed=3)
BLOCKS = [
    [124.0, 147.1, 130.7, 71.5],
    [109.1, 151.4, 127.6, 52.9],
    [112.5, 165.3, 169.4, 67.1],
    [145.6, 193.6, 170.4, 71.7],
]


def test_image_and_masks_have_one_shape(drawn):
    for p in drawn:
        assert p.image.shape == p.lungs.shape == p.opacity.shape == (phantoms.SIZE, phantoms.SIZE)
        assert (p.image.dtype, p.lungs.dtype, p.opacity.dtype) == (np.uint8, bool, bool)


def test_file_names_tell_patient_and_image(drawn):
    assert [(p.patient, p.image_number) for p in drawn] == PAIRS
    assert [p.file_name for p in drawn] == [f"phantom{a:04d}-{b:04d}.jpg" for a, b in PAIRS]


def test_label_disease_and_opacity_say_the_same(drawn):
    assert {p.label for p in drawn} == {0, 1}
    for p in drawn:
        assert p.disease in ("normal", *phantoms.DISEASES)
        assert p.label == int(p.opacity.any()) == int(p.disease != "normal")


def test_opacities_lie_in_the_lungs_and_are_not_small(drawn):
    for p in drawn:
        assert not (p.opacity & ~p.lungs).any()
        assert not p.label or p.opacity.mean() > 0.03


def test_images_use_the_gray_scale(drawn):
    assert all(p.image.std() > 20 for p in drawn)


def test_lungs_are_darker_than_the_spine(drawn):
    for p in drawn:
        assert 0.05 < p.lungs.mean() < 0.6
        spine = p.image[200:600, 300:340]
        assert np.median(p.image[p.lungs & ~p.opacity]) < np.median(spine)


def test_the_same_seed_draws_the_same_in_any_order(drawn):
    for k in (17, 5, 11):
        again = phantoms.draw_phantom(*PAIRS[k], seed=3)
        assert np.array_equal(again.image, drawn[k].image)
        assert np.array_equal(again.opacity, drawn[k].opacity)


def test_another_seed_draws_another_image(drawn):
    other = phantoms.draw_phantom(*PAIRS[5], seed=4)
    assert not np.array_equal(other.image, drawn[5].image)


def test_patients_can_be_numbered_from_any_first_one():
    first = next(phantoms.generate(1, seed=3, first_patient=9))
    assert first.patient == 9
    assert np.array_equal(first.image, phantoms.draw_phantom(9, seed=3).image)


def test_images_of_one_patient_differ():
    a, b = (phantoms.draw_phantom(1, k, disease=False) for k in (0, 1))
    assert not np.array_equal(a.image, b.image)


def test_jpeg_files_hold_the_same_images_in_order(drawn):
    files = list(phantoms.jpeg_files(PAIRS[:12], seed=3, quality=95))
    truth = [(p.file_name, p.label) for p in drawn[:12]]
    assert [(name, label) for name, label, _ in files] == truth
    for (*_, content), p in zip(files, drawn, strict=False):
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "JPEG"
            assert np.abs(np.asarray(image, int) - p.image).mean() < 2


def test_some_patients_have_several_images():
    pairs = phantoms.patients_and_images(500, seed=2)
    assert len(pairs) == len(set(pairs)) == 500
    counts = np.bincount([patient for patient, _ in pairs])
    assert counts.min() == 1 and 0.2 < np.mean(counts > 1) < 0.6 and counts.max() <= 6


def test_a_longer_list_of_images_begins_with_the_shorter():
    pairs = phantoms.patients_and_images(500, seed=2)
    assert pairs[:100] == phantoms.patients_and_images(100, seed=2)
    assert pairs != phantoms.patients_and_images(500, seed=3)


@pytest.mark.parametrize("disease", list(phantoms.DISEASES))
def test_nothing_is_seen_or_true_behind_the_collimator(disease, monkeypatch):
    def narrow(rng, body, draw=phantoms.draw_position):
        return replace(draw(rng, body), border=np.array([[20, 100], [70, 90]]))

    children = replace(phantoms.POPULATIONS["children"], place=narrow)
    monkeypatch.setitem(phantoms.POPULATIONS, "children", children)
    p = phantoms.draw_phantom(2, seed=1, disease=disease)
    for a in (p.image, p.lungs, p.opacity):
        assert a[40:440, 140:460].any()
        a[40:440, 140:460] = 0
        assert not a.any()


def test_gray_levels_of_one_image_are_these():
    """Mean over blocks of 160 × 160 pixels, within one gray level."""
    image = phantoms.draw_phantom(7, 2, disease="lobar").image
    blocks = image.reshape(4, 160, 4, 160).mean(axis=(1, 3))
    assert np.abs(blocks - BLOCKS).max() < 1


def test_another_processor_draws_the_same_within_one_gray_level(drawn):
    """Without the vector instructions that NumPy found here, as on an older processor."""
    code = "import sys, numpy as np; from xraylib import phantoms; "
    code += "images = np.stack([p.image for p in phantoms.generate(4, seed=3)]); "
    code += "np.save(sys.stdout.buffer, images)"
    from numpy._core import _multiarray_umath as build

    found = [name for name in build.__cpu_dispatch__ if build.__cpu_features__.get(name)]
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    plain = np.load(io.BytesIO(done.stdout), allow_pickle=False).astype(int)
    assert np.abs(plain - np.stack([p.image for p in drawn[:4]])).max() <= 1
