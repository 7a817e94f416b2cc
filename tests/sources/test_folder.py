"""Folders and zips of images: read as they are, or refused in words."""

import io
import os
import shutil
import struct
import sys
import zipfile
from itertools import product

import numpy as np
import pytest
from PIL import Image

from xraylib import data
from xraylib.preprocessing import preprocess_split
from xraylib.sources.folder import EMPTY, unpack

SPLITS = ("train", "validation", "test")


@pytest.fixture
def zipped(png):
    """A function from the classes of its images to the content of a zip."""

    def content(classes=("NORMAL", "PNEUMONIA"), seed=0):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for number, class_name in enumerate(classes):
                archive.writestr(f"{class_name}/IM-{number:04}-0001.png", png([number, seed]))
                archive.writestr(f"{class_name}/.DS_Store", "no image")
        return file.getvalue()

    return content


@pytest.fixture
def zips(tmp_path, cache, zipped):
    """A folder source of three zips."""
    root = tmp_path / "zips"
    root.mkdir()
    for number, name in enumerate(("train", "valid", "test")):
        (root / f"{name}.zip").write_bytes(zipped(seed=number))
    return root


def test_a_folder_gives_the_three_splits(folder):
    splits = data.load_splits(folder)
    assert list(splits) == list(SPLITS)
    for split in splits.values():
        assert split.column_names == ["image", "label", "file_name"]
        assert split["label"][:] == [0, 0, 1, 1]
        assert split.features["label"].names == ["NORMAL", "PNEUMONIA"]


def test_rows_hold_the_image_of_their_file(folder):
    row = data.load_splits(folder)["train"][3]
    assert row["file_name"] == "person1_virus_1.png"
    assert np.array_equal(row["image"], Image.open(folder / "train/PNEUMONIA/person1_virus_1.png"))


def test_a_folder_of_zips_is_read_like_folders(zips):
    splits = data.load_splits(zips)
    assert splits["validation"]["file_name"][:] == ["IM-0000-0001.png", "IM-0001-0001.png"]
    assert splits["validation"]["label"][:] == [0, 1]
    assert splits["test"][1]["image"].size == (9, 9)


def test_zips_are_unpacked_once(zips, cache):
    data.load_splits(zips)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    data.load_splits(zips)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == before


@pytest.mark.parametrize("class_name", ["NORMAL", "PNEUMONIA"])
def test_an_empty_class_folder_is_named(folder, class_name):
    for path in (folder / "test" / class_name).iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=f"test: the class folder {class_name}/ is empty. Put"):
        data.load_splits(folder)


@pytest.mark.parametrize("class_name", ["NORMAL", "PNEUMONIA"])
def test_a_missing_class_folder_is_named(folder, class_name):
    shutil.rmtree(folder / "test" / class_name)
    message = f"test: the class folder {class_name}/ is missing. Add"
    with pytest.raises(FileNotFoundError, match=message):
        data.load_splits(folder)


def test_an_unknown_class_folder_is_named(folder):
    (folder / "train" / "COVID").mkdir()
    with pytest.raises(ValueError, match="train: unknown class folder COVID/. Only"):
        data.load_splits(folder)


def test_an_unknown_class_in_a_zip_is_named(zips, zipped):
    (zips / "test.zip").write_bytes(zipped(("NORMAL", "PNEUMONIA", "COVID")))
    with pytest.raises(ValueError, match="test.zip: unknown class folder COVID/"):
        data.load_splits(zips)


def test_what_lies_beside_the_classes_of_a_zip_is_left(zips, png):
    """Names as some programs of Windows write them, too: with backslashes."""
    with zipfile.ZipFile(zips / "valid.zip", "w") as archive:
        for name in ("a/README", "a/set/Thumbs.db", "a\\set\\", "notes", "old/NORMAL/.DS_Store"):
            archive.writestr(name, b"")
        for number, name in enumerate(("a\\set\\NORMAL\\1.png", "a/set/PNEUMONIA/1.png")):
            archive.writestr(name, png(number))
    assert data.load_splits(zips)["validation"]["label"][:] == [0, 1]


def test_a_zip_of_several_sets_is_refused(zips, png):
    with zipfile.ZipFile(zips / "valid.zip", "w") as archive:
        for number, (place, name) in enumerate(product(("train", "test"), ("NORMAL", "PNEUMONIA"))):
            archive.writestr(f"{place}/{name}/{number}.png", png(number))
    with pytest.raises(
        ValueError, match="valid.zip: holds several sets, in test/ and train/. Pack"
    ):
        data.load_splits(zips)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are UTF-8 elsewhere")
def test_a_name_that_is_no_utf_8_is_named(folder):
    image = folder / "train" / "NORMAL" / "person0_virus_0.png"
    image.rename(os.fsdecode(os.fsencode(image.parent) + b"/\xff.png"))
    with pytest.raises(ValueError, match="its name is not UTF-8. Rename it."):
        data.load_splits(folder)


def test_a_damaged_zip_is_named(zips, zipped):
    (zips / "valid.zip").write_bytes(zipped()[:-30])
    with pytest.raises(ValueError, match="valid.zip: cannot be read as a zip .* again"):
        data.load_splits(zips)


def test_a_zip_with_damage_inside_is_named(zips, zipped):
    content = bytearray(zipped())
    content[60] ^= 0xFF  # in the first image
    (zips / "valid.zip").write_bytes(content)
    with pytest.raises(ValueError, match="valid.zip: cannot be read as a zip .* again"):
        data.load_splits(zips)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_inside_is_named_however_a_zip_is_packed(zips, png, method):
    with zipfile.ZipFile(zips / "valid.zip", "w", method) as archive:
        archive.writestr("NORMAL/a.png", png(0))
    content = bytearray((zips / "valid.zip").read_bytes())
    content[60:80] = bytes(20)
    (zips / "valid.zip").write_bytes(content)
    with pytest.raises(ValueError, match="valid.zip: cannot be read as a zip .* again"):
        data.load_splits(zips)


def test_a_zip_that_states_more_than_it_holds_is_named(zips, zipped):
    content = bytearray(zipped())
    sizes = content.index(b"PK\x01\x02") + 20  # of the first image, packed and unpacked
    content[sizes : sizes + 8] = struct.pack("<II", 100_000, 100_000)
    (zips / "valid.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"valid.zip: cannot .* zip \(EOFError\)\. .* again"):
        data.load_splits(zips)


def test_a_full_disk_is_no_damaged_zip(zips, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.open", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(zips / "test.zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "link", "message"),
    [
        ("../NORMAL/a.png", False, "points out of the archive"),
        ("NORMAL/../../../etc/cron.d/a.png", False, "points out of the archive"),
        ("/NORMAL/a.png", False, "points out of the archive"),
        ("C:\\NORMAL\\a.png", False, "points out of the archive"),
        ("NORMAL/..\\a.png", False, "points out of the archive"),
        ("NORMAL/a.png", True, "is a link"),
    ],
)
def test_an_archive_that_climbs_out_is_refused(zips, cache, png, name, link, message):
    with zipfile.ZipFile(zips / "train.zip", "a") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = (0o120777 if link else 0o100644) << 16
        archive.writestr(member, "/etc/passwd" if link else png(9))
    with pytest.raises(ValueError, match=f"train.zip: .* {message}"):
        data.load_splits(zips)
    assert not [path for path in cache.rglob("*") if path.suffix == ".png"]


def test_a_name_that_is_in_a_zip_twice_is_refused(zips, png):
    with zipfile.ZipFile(zips / "train.zip", "a") as archive:
        archive.writestr("NORMAL\\IM-0000-0001.png", png(9))
    with pytest.raises(ValueError, match="train.zip: NORMAL/IM-0000-0001.png is in it twice"):
        data.load_splits(zips)


def test_an_archive_that_is_a_bomb_is_refused(zips):
    with zipfile.ZipFile(zips / "test.zip", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("NORMAL/large.png", bytes(30_000_000))
    with pytest.raises(ValueError, match="test.zip: unpacks to 30,0.* bytes, a bomb"):
        data.load_splits(zips)


def test_an_archive_unpacks_to_its_class_folders(zips, tmp_path):
    unpack(zips / "test.zip", tmp_path / "out")
    names = sorted(
        path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.glob("out/*/*")
    )
    assert names == ["NORMAL/IM-0000-0001.png", "PNEUMONIA/IM-0001-0001.png"]


def test_splits_that_share_a_file_are_refused(folder):
    shared = (folder / "train" / "NORMAL" / "person1_virus_1.png").read_bytes()
    (folder / "test" / "PNEUMONIA" / "person1_virus_1.png").write_bytes(shared)
    message = "set: person1_virus_1.png is both in 'train' and in 'test'. Keep"
    with pytest.raises(ValueError, match=message):
        data.load_splits(folder)


def test_a_missing_split_is_named(folder):
    (folder / "val").rename(folder / "other")
    message = "the split 'validation' is missing. Add one of: validation"
    with pytest.raises(FileNotFoundError, match=message):
        data.load_splits(folder)


def test_two_folders_for_one_split_are_refused(folder, fill):
    fill(folder / "valid")
    with pytest.raises(ValueError, match="val and valid are both there"):
        data.load_splits(folder)


def test_a_source_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder. A source is"):
        data.load_splits(tmp_path / "nowhere")


@pytest.mark.parametrize("written", [str, lambda path: path], ids=["str", "Path"])
def test_one_folder_is_one_data_set(folder, written):
    split = data.load_folder(written(folder / "train"))
    assert split.to_dict() == data.load_splits(folder)["train"].to_dict()
    assert split.features == data.load_splits(folder)["train"].features


def test_one_zip_is_one_data_set(zips):
    split = data.load_folder(zips / "test.zip")
    assert split["file_name"][:] == ["IM-0000-0001.png", "IM-0001-0001.png"]
    assert split["label"][:] == [0, 1]


def test_one_zip_is_unpacked_once(zips, cache):
    first = data.load_folder(zips / "test.zip")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    assert data.load_folder(zips / "test.zip").to_dict() == first.to_dict()
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == before


def test_one_folder_becomes_arrays(folder):
    X, y = preprocess_split(data.load_folder(folder / "train"))
    assert X.shape == (4, 28, 28, 1)
    assert y.tolist() == [0, 0, 1, 1]


def test_one_folder_knows_what_it_is_called(folder, zips):
    assert data.load_folder(folder / "train").info.description == "the folder train"
    assert data.load_folder(zips / "test.zip").info.description == "the file test.zip"


def test_a_folder_named_like_a_source_is_still_a_folder(folder, monkeypatch):
    (folder / "train").rename(folder / "phantom")
    monkeypatch.chdir(folder)
    assert data.load_folder("phantom").info.dataset_name == "folder"


def test_one_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such folder or zip. Give one with"):
        data.load_folder(tmp_path / "gone")


def test_one_folder_without_a_class_is_named(folder):
    shutil.rmtree(folder / "train" / "NORMAL")
    with pytest.raises(FileNotFoundError, match="train: the class folder NORMAL/ is missing. Add"):
        data.load_folder(folder / "train")


def test_one_folder_with_an_unknown_class_is_named(folder):
    with pytest.raises(ValueError, match="set: unknown class folder test/. Only NORMAL/"):
        data.load_folder(folder)


def test_one_zip_without_a_class_is_named(zips, zipped):
    (zips / "test.zip").write_bytes(zipped(["NORMAL"]))
    message = "test.zip: the class folder PNEUMONIA/ is missing. Add"
    with pytest.raises(FileNotFoundError, match=message):
        data.load_folder(zips / "test.zip")


def test_one_zip_that_is_damaged_is_named(zips, zipped):
    (zips / "test.zip").write_bytes(zipped()[:-30])
    with pytest.raises(ValueError, match="test.zip: cannot be read as a zip .* again"):
        data.load_folder(zips / "test.zip")


def test_an_image_is_no_folder_of_images(folder):
    path = folder / "train" / "NORMAL" / "person0_virus_0.png"
    with pytest.raises(ValueError, match="person0_virus_0.png: cannot be read as a zip"):
        data.load_folder(path)


def test_unreadable_images_of_one_folder_can_be_left_out(folder, capsys):
    (folder / "train" / "NORMAL" / "person0_virus_0.png").write_bytes(b"no image")
    assert data.drop_unreadable(data.load_folder(folder / "train")).num_rows == 3
    assert "Left out: 1 of 4 images" in capsys.readouterr().out


def test_a_split_that_is_empty_without_a_note_is_still_an_error(folder):
    shutil.rmtree(folder / "test")
    (folder / "test").mkdir()
    with pytest.raises(FileNotFoundError, match="test: the class folder NORMAL/ is missing. Add"):
        data.load_splits(folder)


def test_images_count_though_a_note_says_that_there_are_none(folder):
    (folder / "test" / EMPTY).write_text("none")
    assert data.load_splits(folder)["test"].num_rows == 4


def test_a_folder_in_a_class_folder_is_named(folder):
    (folder / "train" / "NORMAL" / "patient1").mkdir()
    with pytest.raises(ValueError, match="NORMAL/ has a folder, patient1/. Put its images into"):
        data.load_splits(folder)


def test_what_windows_leaves_in_a_folder_is_no_image(folder):
    (folder / "train" / "NORMAL" / "Thumbs.db").write_bytes(b"no image")
    assert data.load_splits(folder)["train"].num_rows == 4


def test_a_class_in_small_letters_is_to_be_renamed(folder):
    (folder / "train" / "NORMAL").rename(folder / "train" / "Normal")
    with pytest.raises(ValueError, match="Rename it to NORMAL/"):
        data.load_splits(folder)


def test_one_folder_where_splits_belong_is_recognized(folder):
    with pytest.raises(FileNotFoundError, match="load_folder reads it"):
        data.load_splits(folder / "train")


def test_a_file_where_a_folder_belongs_is_recognized(folder):
    (folder / "whole.zip").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="is a file. Unpack it"):
        data.load_splits(folder / "whole.zip")
