"""The sources of radiographs: folders, zips, phantoms."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from xraylib import data, phantom
from xraylib.preprocessing import preprocess_image, preprocess_split

SPLITS = ("train", "validation", "test")


def png(seed, side=9):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)).save(file, "PNG")
    return file.getvalue()


def fill(root, split="train", classes=("NORMAL", "PNEUMONIA"), count=2):
    for kind in classes:
        (root / split / kind).mkdir(parents=True)
        for number in range(count):
            (root / split / kind / f"person{number}_virus_{number}.png").write_bytes(png([number, *split.encode()]))


@pytest.fixture
def folder(tmp_path):
    for split in ("train", "val", "test"):
        fill(tmp_path / "set", split)
    return tmp_path / "set"


def zipped(kinds=("NORMAL", "PNEUMONIA"), seed=0, side=9):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, kind in enumerate(kinds):
            archive.writestr(f"{kind}/IM-{number:04}-0001.png", png([number, seed], side))
            archive.writestr(f"{kind}/.DS_Store", "no image")
    return file.getvalue()


# ------------------------------------------------------------------------------------------------------------ folders


def test_a_folder_gives_the_three_splits(folder):
    splits = data.load_splits(folder)
    assert list(splits) == list(SPLITS)
    for split in splits.values():
        assert split.column_names == ["image", "label", "file_name"]
        assert split["label"] == [0, 0, 1, 1]
        assert split.features["label"].names == ["NORMAL", "PNEUMONIA"]
    row = splits["train"][3]
    assert row["file_name"] == "person1_virus_1.png"
    assert np.array_equal(row["image"], Image.open(folder / "train/PNEUMONIA/person1_virus_1.png"))


def test_the_environment_names_the_source(folder, monkeypatch):
    monkeypatch.setenv("XRAYLIB_SOURCE", str(folder))
    assert "the folder set" in data.describe(data.load_splits())


def test_a_folder_of_zips_is_read_like_folders(tmp_path):
    for number, name in enumerate(("train", "valid", "test")):
        (tmp_path / f"{name}.zip").write_bytes(zipped(seed=number))
    splits = data.load_splits(tmp_path)
    assert splits["validation"]["file_name"] == ["IM-0000-0001.png", "IM-0001-0001.png"]
    assert splits["validation"]["label"] == [0, 1]
    assert splits["test"][1]["image"].size == (9, 9)


@pytest.mark.parametrize("kind", ["NORMAL", "PNEUMONIA"])
def test_a_missing_class_folder_is_named(folder, kind):
    for path in (folder / "test" / kind).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"test: the class folder {kind}/ is empty. Put"):
        data.load_splits(folder)
    (folder / "test" / kind).rmdir()
    with pytest.raises(FileNotFoundError, match=f"test: the class folder {kind}/ is missing. Add"):
        data.load_splits(folder)


def test_an_unknown_class_folder_is_named(folder):
    (folder / "train" / "COVID").mkdir()
    with pytest.raises(ValueError, match="train: unknown class folder COVID/. Only"):
        data.load_splits(folder)


def test_an_unknown_class_in_a_zip_is_named(folder):
    (folder / "extra").mkdir()
    (folder / "test").rename(folder / "extra" / "test")
    (folder / "test.zip").write_bytes(zipped(("NORMAL", "PNEUMONIA", "COVID")))
    with pytest.raises(ValueError, match="test.zip: unknown class folder COVID/"):
        data.load_splits(folder)


def test_a_damaged_zip_is_named(folder):
    (folder / "val").rename(folder / "old")
    (folder / "valid.zip").write_bytes(zipped()[:-30])
    with pytest.raises(ValueError, match="valid.zip: cannot be read as a zip .* again"):
        data.load_splits(folder)


@pytest.mark.parametrize(
    ("name", "link", "message"),
    [
        ("../NORMAL/a.png", False, "points out of the archive"),
        ("NORMAL/../../../etc/cron.d/a.png", False, "points out of the archive"),
        ("/NORMAL/a.png", False, "points out of the archive"),
        ("C:\\\\NORMAL\\\\a.png", False, "points out of the archive"),
        ("NORMAL/..\\\\a.png", False, "points out of the archive"),
        ("NORMAL/a.png", True, "is a link"),
    ],
)
def test_an_archive_that_climbs_out_is_refused(tmp_path, name, link, message):
    for number, split in enumerate(("train", "valid", "test")):
        (tmp_path / f"{split}.zip").write_bytes(zipped(seed=number))
    with zipfile.ZipFile(tmp_path / "train.zip", "a") as archive:
        member = zipfile.ZipInfo(name.replace("\\\\", "\\"))
        member.external_attr = (0o120777 if link else 0o100644) << 16
        archive.writestr(member, "/etc/passwd" if link else png(9))
    before = sorted(tmp_path.parent.rglob("*"))
    with pytest.raises(ValueError, match=f"train.zip: .* {message}"):
        data.load_splits(tmp_path)
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_an_archive_that_is_a_bomb_is_refused(tmp_path):
    for number, split in enumerate(("train", "valid", "test")):
        (tmp_path / f"{split}.zip").write_bytes(zipped(seed=number))
    with zipfile.ZipFile(tmp_path / "test.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("NORMAL/large.png", bytes(30_000_000))
    with pytest.raises(ValueError, match="test.zip: unpacks to 30,0.* bytes, a bomb"):
        data.load_splits(tmp_path)


def test_splits_that_share_a_file_are_refused(folder):
    shared = (folder / "train" / "NORMAL" / "person1_virus_1.png").read_bytes()
    (folder / "test" / "PNEUMONIA" / "person1_virus_1.png").write_bytes(shared)
    with pytest.raises(ValueError, match="set: person1_virus_1.png is both in 'train' and in 'test'. Keep"):
        data.load_splits(folder)


def test_unreadable_images_are_left_out_with_their_rows(folder, capsys):
    for place in ("train/NORMAL/person0_virus_0.png", "train/PNEUMONIA/person1_virus_1.png"):
        (folder / place).write_bytes(b"<html>404</html>")
    everything = data.load_splits(folder)
    with pytest.raises(ValueError, match=r"(?s)^2 images cannot be read:.*person0.*person1.*on_error=\"skip\""):
        preprocess_split(everything["train"])
    splits = data.load_splits(folder, on_error="skip")
    assert "Left out: 2 of 4 images" in capsys.readouterr().out
    X, y = preprocess_split(splits["train"])
    assert splits["train"]["file_name"] == ["person1_virus_1.png", "person0_virus_0.png"]
    assert y.tolist() == [0, 1]
    for row, name in enumerate(("NORMAL/person1_virus_1.png", "PNEUMONIA/person0_virus_0.png")):
        assert np.array_equal(X[row], preprocess_image(folder / "train" / name))
    assert "the folder set" in data.describe(splits)
    with pytest.raises(ValueError, match="on_error must be"):
        data.load_splits(folder, on_error="ignore")


def test_a_class_of_unreadable_images_is_an_error(folder):
    for path in (folder / "test" / "NORMAL").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="What is left: the class folder NORMAL/ is empty"):
        data.load_splits(folder, on_error="skip")


def test_a_missing_split_is_named(folder):
    (folder / "val").rename(folder / "other")
    with pytest.raises(FileNotFoundError, match="the split 'validation' is missing. Add one of: validation"):
        data.load_splits(folder)


def test_two_folders_for_one_split_are_refused(folder):
    fill(folder, "valid")
    with pytest.raises(ValueError, match="val and valid are both there"):
        data.load_splits(folder)


def test_a_source_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder. A source is"):
        data.load_splits(tmp_path / "nowhere")


def test_every_byte_of_every_image_counts(folder):
    before = data.content_of(data.load_splits(folder))
    assert data.content_of(data.load_splits(folder)) == before
    path = folder / "test" / "NORMAL" / "person0_virus_0.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert data.content_of(data.load_splits(folder)) != before


# ----------------------------------------------------------------------------------------------------------- patients


@pytest.mark.parametrize(
    ("name", "patient", "with_kind"),
    [
        ("person63_bacteria_306_jpeg.rf.0a1b.jpg", "person63", "person63_bacteria"),
        ("person63_virus_117.jpeg", "person63", "person63_virus"),
        ("IM-0115-0001_jpeg.rf.0a1b.jpg", "IM-115", "IM-115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-115", "NORMAL2-IM-115"),
        ("phantom0007-0002.jpg", "phantom7", "phantom7"),
        ("scan.png", "scan.png", "scan.png"),
    ],
)
def test_file_names_name_patients(name, patient, with_kind):
    assert data.patient_of(name) == patient
    assert data.patient_of(name, with_kind=True) == with_kind


def test_split_by_patient_parts_patients_and_keeps_all_images(phantoms):
    parts = data.split_by_patient(phantoms)
    patients = {name: {data.patient_of(file) for file in parts[name]["file_name"]} for name in SPLITS}
    assert not patients["train"] & patients["validation"]
    assert not patients["test"] & (patients["train"] | patients["validation"])
    names = lambda some: sorted(file for split in some.values() for file in split["file_name"])  # noqa: E731
    assert names(parts) == names(phantoms)
    sizes = np.array([len(parts[name]) for name in SPLITS]) / len(names(phantoms))
    assert np.allclose(sizes, (0.7, 0.2, 0.1), atol=0.02)
    shares = [np.mean(parts[name]["label"]) for name in SPLITS]
    assert max(shares) - min(shares) < 0.1
    again = data.split_by_patient(parts)  # however they were split before
    assert all(again[name]["file_name"] == parts[name]["file_name"] for name in SPLITS)
    assert data.split_by_patient(phantoms, seed=1)["test"]["file_name"] != parts["test"]["file_name"]


def test_too_few_patients_are_refused(folder):
    with pytest.raises(ValueError, match="2 patients are too few"):
        data.split_by_patient(data.load_splits(folder))


# ----------------------------------------------------------------------------------------------------------- phantoms


def test_the_default_phantoms_are_what_the_generator_draws(phantoms):
    splits = phantoms
    assert {name: len(split) for name, split in splits.items()} == data.PHANTOM_SIZES
    assert 0.65 < np.mean(splits["train"]["label"]) < 0.85
    row = splits["test"][0]
    patient, picture = (int(number) for number in row["file_name"][7:-4].split("-"))
    drawn = phantom.draw_phantom(patient, picture)
    assert drawn.file_name == row["file_name"]
    assert drawn.label == row["label"]
    assert np.abs(np.asarray(row["image"], float) - drawn.image).mean() < 3  # JPEG keeps it nearly
    assert "say nothing about patients" in data.describe(splits)
