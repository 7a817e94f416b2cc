"""The three splits and the patients in them, whatever the source."""

import numpy as np
import pytest

from xraylib import data
from xraylib.preprocessing import preprocess_image, preprocess_split

SPLITS = ("train", "validation", "test")


def test_the_environment_names_the_source(folder, monkeypatch):
    monkeypatch.setenv("XRAYLIB_SOURCE", str(folder))
    assert "the folder set" in data.describe(data.load_splits())


def test_a_prepared_source_can_be_loaded_as_a_folder(phantoms):
    copied = data.load_splits(data.prepare("phantom"))
    assert data.content_of(copied) == data.content_of(phantoms)


def test_phantoms_are_known_to_be_synthetic(phantoms, folder):
    assert data.is_synthetic(phantoms)
    assert not data.is_synthetic(data.load_splits(folder))


def test_phantoms_stay_phantoms_when_they_are_divided_again(phantoms):
    assert data.is_synthetic(data.split_by_patient(phantoms))


def test_the_description_warns_of_phantoms(phantoms):
    assert "say nothing about patients" in data.describe(phantoms)


@pytest.fixture
def with_damage(folder):
    for place in ("train/NORMAL/person0_virus_0.png", "train/PNEUMONIA/person1_virus_1.png"):
        (folder / place).write_bytes(b"<html>404</html>")
    return folder


def test_unreadable_images_are_all_named(with_damage):
    message = r"(?s)^2 images cannot be read:.*person0.*person1.*on_error=\"skip\""
    with pytest.raises(ValueError, match=message):
        preprocess_split(data.load_splits(with_damage)["train"])


def test_unreadable_images_are_left_out_with_their_rows(with_damage, capsys):
    splits = data.load_splits(with_damage, on_error="skip")
    assert "Left out: 2 of 4 images" in capsys.readouterr().out
    X, y = preprocess_split(splits["train"])
    assert splits["train"]["file_name"][:] == ["person1_virus_1.png", "person0_virus_0.png"]
    assert y.tolist() == [0, 1]
    for row, name in enumerate(("NORMAL/person1_virus_1.png", "PNEUMONIA/person0_virus_0.png")):
        assert np.array_equal(X[row], preprocess_image(with_damage / "train" / name))


def test_another_way_with_errors_is_refused(folder):
    with pytest.raises(ValueError, match="on_error must be"):
        data.load_splits(folder, on_error="ignore")


def test_a_class_of_unreadable_images_is_an_error(folder):
    for path in (folder / "test" / "NORMAL").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="No image of NORMAL can be read: replace"):
        data.load_splits(folder, on_error="skip")


def test_every_byte_of_every_image_counts(folder):
    before = data.content_of(data.load_splits(folder))
    assert data.content_of(data.load_splits(folder)) == before
    path = folder / "test" / "NORMAL" / "person0_virus_0.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert data.content_of(data.load_splits(folder)) != before


@pytest.mark.parametrize(
    ("name", "patient", "with_etiology"),
    [
        ("person63_bacteria_306_jpeg.rf.0a1b.jpg", "person63", "person63_bacteria"),
        ("person63_virus_117.jpeg", "person63", "person63_virus"),
        ("IM-0115-0001_jpeg.rf.0a1b.jpg", "IM-115", "IM-115"),
        ("NORMAL2-IM-0115-0001.jpeg", "NORMAL2-IM-115", "NORMAL2-IM-115"),
        ("phantom0007-0002.jpg", "phantom7", "phantom7"),
        ("scan.png", "scan.png", "scan.png"),
    ],
)
def test_file_names_name_patients(name, patient, with_etiology):
    assert data.patient_of(name) == patient
    assert data.patient_of(name, with_etiology=True) == with_etiology


@pytest.fixture(scope="module")
def by_patient(phantoms):
    return data.split_by_patient(phantoms)


def file_names(splits):
    return sorted(name for split in splits.values() for name in split["file_name"])


def test_no_patient_appears_in_two_splits(by_patient):
    patients = [{data.patient_of(name) for name in by_patient[s]["file_name"]} for s in SPLITS]
    assert sum(map(len, patients)) == len(set.union(*patients))


def test_a_split_by_patient_keeps_all_images(by_patient, phantoms):
    assert file_names(by_patient) == file_names(phantoms)


def test_a_split_by_patient_has_the_usual_proportions(by_patient):
    sizes = np.array([len(by_patient[name]) for name in SPLITS])
    assert np.allclose(sizes / sizes.sum(), (0.7, 0.2, 0.1), atol=0.02)
    proportions = [np.mean(by_patient[name]["label"]) for name in SPLITS]
    assert max(proportions) - min(proportions) < 0.1


def test_a_split_by_patient_does_not_depend_on_the_split_before(by_patient):
    again = data.split_by_patient(by_patient)
    for name in SPLITS:
        assert again[name]["file_name"][:] == by_patient[name]["file_name"][:]


def test_another_seed_divides_the_patients_otherwise(by_patient, phantoms):
    other = data.split_by_patient(phantoms, seed=1)
    assert other["test"]["file_name"][:] != by_patient["test"]["file_name"][:]


def test_too_few_patients_are_refused(folder):
    with pytest.raises(ValueError, match="2 patients of a class are too few"):
        data.split_by_patient(data.load_splits(folder))


def test_images_without_patients_cannot_be_split_by_patient(folder):
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(path.with_name(f"{number}.png"))
    with pytest.raises(ValueError, match="tell no patient"):
        data.split_by_patient(data.load_splits(folder))


def test_a_source_with_a_typing_error_is_not_prepared():
    with pytest.raises(FileNotFoundError, match="hubb: no such folder"):
        data.prepare("hubb")
