"""The phantoms: their truth, their independence of the disease, their physics."""

import io
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from xraylib import phantom as ph

PAIRS = ph.patients_and_pictures(24, seed=3)


@pytest.fixture(scope="module")
def drawn():
    return list(ph.generate(24, seed=3))


def test_shapes_types_and_names(drawn):
    for p, (patient, picture) in zip(drawn, PAIRS, strict=True):
        assert p.image.shape == p.lungs.shape == p.opacity.shape == (ph.SIZE, ph.SIZE)
        assert (p.image.dtype, p.lungs.dtype, p.opacity.dtype) == (np.uint8, bool, bool)
        assert (p.patient, p.picture) == (patient, picture)
        assert p.file_name == f"phantom{patient:04d}-{picture:04d}.jpg"
    assert len({p.file_name for p in drawn}) == len(drawn)


def test_label_is_what_the_picture_shows(drawn):
    assert {p.label for p in drawn} == {0, 1}
    for p in drawn:
        assert p.label == int(p.opacity.any()) == int(p.kind != "normal")
        assert p.kind in ("normal", *ph.KINDS)
        assert not (p.opacity & ~p.lungs).any()
        assert not p.label or p.opacity.mean() > 0.03


def test_pictures_use_the_gray_scale_and_have_lungs(drawn):
    for p in drawn:
        assert 0.05 < p.lungs.mean() < 0.6
        assert p.image.std() > 20
        spine = p.image[200:600, 300:340]
        assert np.median(p.image[p.lungs & ~p.opacity]) < np.median(spine)


def test_same_seed_same_picture_in_any_order(drawn):
    for k in (17, 5, 11):
        again = ph.draw_phantom(*PAIRS[k], seed=3)
        assert np.array_equal(again.image, drawn[k].image) and np.array_equal(again.opacity, drawn[k].opacity)
    assert not np.array_equal(ph.draw_phantom(*PAIRS[5], seed=4).image, drawn[5].image)
    first, shifted = next(ph.generate(1, seed=3, first_patient=9)), ph.draw_phantom(9, seed=3)
    assert first.patient == 9 and np.array_equal(first.image, shifted.image)


def test_files_hold_the_same_pictures_in_order(drawn):
    files = list(ph.files(PAIRS[:12], seed=3, quality=95))
    assert [(name, label) for name, label, _ in files] == [(p.file_name, p.label) for p in drawn[:12]]
    for (*_, content), p in zip(files, drawn, strict=False):
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "JPEG"
            assert np.abs(np.asarray(image, int) - p.image).mean() < 2


@pytest.mark.parametrize("kind", list(ph.KINDS))
def test_disease_changes_the_lungs_and_nothing_else(kind):
    for patient in (2, 8):
        healthy = ph.draw_phantom(patient, seed=1, disease=False)
        sick = ph.draw_phantom(patient, seed=1, disease=kind)
        assert (healthy.label, healthy.kind, sick.label, sick.kind) == (0, "normal", 1, kind)
        assert np.array_equal(healthy.lungs, sick.lungs)  # same anatomy, breath and position
        assert healthy.file_name == sick.file_name
        change = (sick.image.astype(int) - healthy.image)[::4, ::4]
        lungs, opacity = sick.lungs[::4, ::4], sick.opacity[::4, ::4]
        assert change[opacity].mean() > 15  # an opacity is white
        far, reach = (4 * ndimage.distance_transform_edt(~m) for m in (lungs, opacity))
        assert np.abs(change[far > 25]).mean() < 0.5  # scattered light and edge enhancement only
        assert (reach > 250).any() and np.abs(change[reach > 250]).max() <= 2


@pytest.mark.parametrize("kind", list(ph.KINDS))
def test_nothing_is_seen_or_true_behind_the_collimator(kind, monkeypatch):
    def narrow(rng, build, positioning=ph.positioning):
        p = positioning(rng, build)
        p.border = [20, 100, 70, 90]  # top, bottom, left, right of the drawing grid
        return p

    monkeypatch.setattr(ph, "positioning", narrow)
    p = ph.draw_phantom(2, seed=1, disease=kind)
    for a in (p.image, p.lungs, p.opacity):
        assert a[40:440, 140:460].any()
        a[40:440, 140:460] = 0
        assert not a.any()


def test_forced_disease_and_its_absence():
    for patient in range(4):
        as_drawn = ph.draw_phantom(patient, seed=5)
        other = ph.draw_phantom(patient, seed=5, disease=bool(as_drawn.label))
        assert other.kind == as_drawn.kind and np.array_equal(other.image, as_drawn.image)
        assert ph.draw_phantom(patient, seed=5, disease=True).label == 1


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="lobar"):
        ph.draw_phantom(0, disease="gout")


def test_share_of_pneumonia_without_drawing():
    kinds = [ph.draw_kind(*pair, seed=11) for pair in ph.patients_and_pictures(1000, seed=11)]
    assert 0.69 < np.mean([kind != "normal" for kind in kinds]) < 0.79
    assert all(abs(kinds.count(kind) / 1000 - ph.SHARE * share) < 0.05 for kind, share in ph.KINDS.items())


def test_several_pictures_of_some_patients():
    pairs = ph.patients_and_pictures(500, seed=2)
    assert len(pairs) == len(set(pairs)) == 500
    assert pairs == ph.patients_and_pictures(500, seed=2) != ph.patients_and_pictures(500, seed=3)
    assert pairs[:100] == ph.patients_and_pictures(100, seed=2)
    counts = np.bincount([patient for patient, _ in pairs])
    assert counts.min() == 1 and 0.2 < np.mean(counts > 1) < 0.6 and counts.max() <= 6


def test_pictures_of_one_patient_differ_and_resemble():
    a, b = ph.draw_phantom(1, 0, seed=0, disease=False), ph.draw_phantom(1, 1, seed=0, disease=False)
    assert not np.array_equal(a.image, b.image)
    one, two = (ph.anatomy(ph.stream(0, patient, 0)) for patient in (1, 2))
    assert one.tall == ph.anatomy(ph.stream(0, 1, 0)).tall != two.tall


def test_chord_is_the_path_through_an_ellipsoid():
    a, b, c = 3.0, 2.0, 5.0
    z = np.linspace(-c, c, 20001)
    for x, y in ((0, 0), (1.2, -0.7), (2.9, 0.1), (2.5, 1.5)):
        inside = (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1
        length = inside.sum() * (z[1] - z[0])
        assert 2 * c * ph.chord(np.float64(x / a), y / b) == pytest.approx(length, abs=2e-3)


@pytest.mark.parametrize("hollow", [0.0, 0.6])
def test_a_tube_absorbs_mu_times_its_volume(hollow):
    view = ph.positioning(ph.stream(0, 0, 1), ph.anatomy(ph.stream(0, 0, 0))).view
    t = np.linspace(-1, 1, 400)[None]
    absorbed = view.tubes([(view.x0 + 4 * t, view.y0 + 3 * t, 0 * t, 0.5, 0.3, hollow)], 40)
    volume = math.pi * 0.5**2 * (1 - hollow**2) * 10  # 10 cm long
    pixel = view.width * view.height / ph.GRID**2
    assert absorbed.sum() * pixel == pytest.approx(0.3 * volume, rel=0.02)
    middle = absorbed[ph.GRID // 2 - 1 : ph.GRID // 2 + 1, ph.GRID // 2 - 1 : ph.GRID // 2 + 1].mean()
    assert middle == pytest.approx(0.3 * 2 * 0.5 * (1 - hollow), rel=0.08)  # mu times path on the axis


def test_signal_without_scatter_is_the_absorption():
    path = np.broadcast_to(np.linspace(0, 10, ph.GRID, dtype=np.float32), (ph.GRID, ph.GRID))
    seen = ph.signal(ph.MU_WATER * path, 0.0, 0.0, 8)
    assert np.abs(seen - 0.206 * path).max() < 0.01
    assert (ph.signal(ph.MU_WATER * path, 0.3, 0.0, 8) < seen).all()  # scatter lightens shadows


def test_diseased_lung_absorbs_like_water():
    assert ph.MU_LUNG < 0.4 * ph.MU_WATER < ph.MU_WATER < ph.MU_BONE
    build = ph.anatomy(ph.stream(0, 4, 0))
    p = ph.positioning(ph.stream(0, 4, 1), build)
    for kind in ph.KINDS:
        f = ph.filling(np.random.default_rng(1), build, p, kind, 0.8)
        assert f.shape == (ph.GRID, ph.GRID) and f.dtype == np.float32 and 0 <= f.min() < f.max() <= 0.97


def test_another_processor_draws_the_same_within_one_gray_level(drawn):
    """Without the vector instructions that NumPy found here, as on an older processor."""
    code = "import sys, numpy as np; from xraylib import phantom as ph; "
    code += "np.save(sys.stdout.buffer, np.stack([p.image for p in ph.generate(4, seed=3)]))"
    from numpy._core import _multiarray_umath as build

    found = " ".join(name for name in build.__cpu_dispatch__ if build.__cpu_features__.get(name))
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "NPY_DISABLE_CPU_FEATURES": found}, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    plain = np.load(io.BytesIO(done.stdout), allow_pickle=False).astype(int)
    assert np.abs(plain - np.stack([p.image for p in drawn[:4]])).max() <= 1
