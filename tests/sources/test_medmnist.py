"""MedMNIST's two chest benchmarks: unpacked as published, or refused in words; fetched once."""

import hashlib
import os
import time
import zipfile

import numpy as np
import pytest

from xraylib import __main__, data
from xraylib.cached import load_arrays
from xraylib.files import store
from xraylib.preprocessing import preprocess_split
from xraylib.sources import catalogue, download, medmnist

SPLITS = ("train", "validation", "test")
N = {"train": 8, "val": 6, "test": 4}


def pneumonia():
    """The arrays of a small PneumoniaMNIST: every other image shows pneumonia."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in N.items():
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = (np.arange(n) % 2)[:, None].astype(np.uint8)
    return arrays


def chest():
    """The arrays of a small ChestMNIST: rows 0 and 1 are normal, the last two show pneumonia."""
    arrays = pneumonia()
    for part, n in N.items():
        labels = np.zeros((n, 14), np.uint8)
        labels[2:, 3] = 1  # another finding, in the last image beside pneumonia
        labels[-2:, 6] = 1
        labels[-2, 3] = 0
        arrays[f"{part}_labels"] = labels
    return arrays


def emptied(arrays, *parts):
    """The same arrays without the images of some parts."""
    return {key: a[:0] if key.partition("_")[0] in parts else a for key, a in arrays.items()}


@pytest.fixture
def write(tmp_path, cache):
    """A function that writes arrays to a file and returns its path."""

    def save(arrays, name="file.npz"):
        np.savez_compressed(tmp_path / name, **arrays)
        return tmp_path / name

    return save


def test_pneumoniamnist_has_the_columns_of_every_source(write, folder):
    splits = data.load_splits(write(pneumonia()))
    other = data.load_splits(folder)
    assert list(splits) == list(SPLITS)
    for split in splits.values():
        assert split.features == other["train"].features
    assert splits["validation"]["label"][:] == [0, 0, 0, 1, 1, 1]


def test_pneumoniamnist_keeps_its_published_split(write):
    splits = data.load_splits(write(pneumonia()))
    assert splits.num_rows == {"train": 8, "validation": 6, "test": 4}


def test_names_tell_the_row_of_the_published_file(write):
    names = data.load_splits(write(pneumonia()))["validation"]["file_name"][:]
    rows = ["00000", "00002", "00004", "00001", "00003", "00005"]
    assert names == [f"pneumoniamnist_val_{row}.png" for row in rows]


def test_every_image_counts_as_a_patient_since_none_is_named(write):
    names = data.load_splits(write(pneumonia()))["train"]["file_name"][:]
    assert len({data.patient_of(name) for name in names}) == 8


def test_of_chestmnist_no_finding_and_pneumonia_are_taken(write):
    splits = data.load_splits(write(chest()))
    assert splits["train"]["label"][:] == [0, 0, 1, 1]
    assert splits["train"]["file_name"][2:] == [f"chestmnist_train_0000{row}.png" for row in (6, 7)]


@pytest.mark.parametrize("arrays", [pneumonia(), chest()], ids=["pneumoniamnist", "chestmnist"])
def test_images_pass_preprocessing_unchanged(write, arrays):
    split = data.load_splits(write(arrays))["train"]
    rows = [int(name[-9:-4]) for name in split["file_name"][:]]
    X, _ = preprocess_split(split)
    assert np.array_equal(X[..., 0], arrays["train_images"][rows] / np.float32(255))


def test_an_empty_split_has_no_rows(write):
    splits = data.load_splits(write(emptied(chest(), "train", "val")))
    assert splits.num_rows == {"train": 0, "validation": 0, "test": 4}
    assert splits["train"].features == splits["test"].features


def test_an_empty_split_becomes_empty_arrays(write):
    arrays = load_arrays(data.load_splits(write(emptied(pneumonia(), "train"))))
    assert [array.shape for array in arrays[:2]] == [(0, 28, 28, 1), (0,)]
    assert [array.dtype for array in arrays[:2]] == [np.float32, np.int64]
    assert len(arrays[2]) == 6


def test_a_prepared_file_can_be_loaded_as_a_folder(write):
    path = write(emptied(chest(), "val"))
    copied = data.load_splits(data.prepare(path))
    assert copied["validation"].num_rows == 0
    assert data.content_of(copied) == data.content_of(data.load_splits(path))


def test_the_environment_names_a_file(write, monkeypatch):
    monkeypatch.setenv("XRAYLIB_SOURCE", str(write(pneumonia(), "other.npz")))
    assert "Source: the file other.npz\nImages: 8 / 6 / 4" in data.describe(data.load_splits())


def test_the_command_fetch_says_where_the_folder_lies(write, monkeypatch, capsys):
    path = write(chest())
    monkeypatch.setattr("sys.argv", ["xraylib", "fetch", str(path)])
    __main__.main()
    folder = capsys.readouterr().out.strip().partition(": ")[2]
    assert data.content_of(data.load_splits(folder)) == data.content_of(data.load_splits(path))


def test_files_are_unpacked_once(write, cache):
    path = write(pneumonia())
    data.load_splits(path)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    data.load_splits(path)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == before


def test_unreadable_images_can_be_left_out_beside_an_empty_split(write):
    splits = data.load_splits(write(emptied(pneumonia(), "train")), on_error="skip")
    assert splits.num_rows == {"train": 0, "validation": 6, "test": 4}


def test_a_missing_file_is_named(cache):
    with pytest.raises(FileNotFoundError, match="nowhere.npz: no such file. Give the path"):
        data.load_splits("nowhere.npz")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("val_images", np.zeros((6, 28, 28)), "val_images is float64 of shape .* Needed is uint8"),
        ("val_images", np.zeros((6, 28, 27), np.uint8), "(6, 28, 27). Needed .* (6, 28, 28)"),
        ("val_images", np.zeros((6, 28, 28, 3), np.uint8), "(6, 28, 28, 3). Needed"),
        ("val_images", np.zeros((5, 28, 28), np.uint8), "an image for each row of val_labels"),
        ("val_labels", np.zeros(6, np.uint8), "the labels have the shapes .*(6,).* Needed is"),
        ("val_labels", np.zeros((6, 14), np.uint8), "(8, 1), (6, 14), (4, 1). Needed is (n, 1)"),
        ("val_labels", np.zeros((6, 1)), "val_labels (float64) must hold integers, 0 or 1"),
        ("val_labels", np.full((6, 1), 2), "val_labels (int64) must hold integers, 0 or 1"),
        ("val_labels", np.full((6, 1), -1), "val_labels (int64) must hold integers, 0 or 1"),
        ("val_labels", np.zeros((6, 1), np.uint8), "val_labels has no PNEUMONIA. A split needs"),
        ("val_labels", np.ones((6, 1), np.uint8), "val_labels has no NORMAL. A split needs"),
        ("val_images", np.array([{}]), "cannot be read as arrays .*allow_pickle=False.*anew"),
        ("val_images", None, "cannot be read as arrays .*val_images.*Download it anew"),
    ],
)
def test_other_arrays_are_refused_by_name(write, cache, key, value, message):
    arrays = pneumonia() | {key: value}
    path = write({key: array for key, array in arrays.items() if array is not None})
    pattern = message.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"file.npz: .*{pattern}"):
        data.load_splits(path)
    assert not list(cache.rglob("*.png"))


def test_labels_of_several_classes_are_refused(write):
    arrays = pneumonia()
    labels = {key: np.zeros((len(a), 3), int) for key, a in arrays.items() if "labels" in key}
    with pytest.raises(ValueError, match=r"\(8, 3\).* Needed is \(n, 1\) in every split"):
        data.load_splits(write(arrays | labels))


@pytest.mark.parametrize("damage", ["cut off", "flipped bits", "a page", "nothing", "one array"])
def test_a_damaged_file_is_named(write, damage):
    path = write(pneumonia())
    content = path.read_bytes()
    flipped = bytes(byte ^ (0xFF if 200 < place < 300 else 0) for place, byte in enumerate(content))
    damaged = {
        "cut off": content[:-100],
        "flipped bits": flipped,
        "a page": b"<html>Welcome to the guest network</html>",
        "nothing": b"",
        "one array": b"\x93NUMPY\x01\x00",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match="file.npz: cannot be read as arrays .*anew from https"):
        data.load_splits(path)


def test_a_file_that_is_a_bomb_is_refused(write):
    path = write(pneumonia() | {"more": np.zeros(30_000_000, np.uint8)})
    with pytest.raises(ValueError, match="file.npz: .* a bomb"):
        data.load_splits(path)


def test_an_array_that_states_more_than_memory_holds_is_refused(write):
    path = write({key: array for key, array in pneumonia().items() if key != "val_images"})
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000000, 28, 28), }"
    with zipfile.ZipFile(path, "a") as archive:
        length = (len(header) + 1).to_bytes(2, "little")
        archive.writestr("val_images.npy", b"\x93NUMPY\x01\x00" + length + f"{header}\n".encode())
    with pytest.raises(ValueError, match="file.npz: cannot be read as arrays"):
        data.load_splits(path)


@pytest.fixture
def zenodo(hub_server, write, monkeypatch):
    """A server on loopback that has a small PneumoniaMNIST and ChestMNIST."""
    contents = {
        "pneumoniamnist.npz": write(pneumonia()).read_bytes(),
        "chestmnist.npz": write(chest()).read_bytes(),
    }
    server = hub_server(contents)
    monkeypatch.setattr(medmnist, "URL", f"{server.url}/cdn/{{}}.npz")
    for name, content in contents.items():
        monkeypatch.setitem(medmnist.MD5, name[:-4], hashlib.md5(content).hexdigest())
    return server


@pytest.mark.parametrize(("name", "n_train"), [("pneumoniamnist", 8), ("chestmnist", 4)])
def test_a_benchmark_is_fetched_by_its_name(zenodo, name, n_train):
    splits = data.load_splits(name)
    assert splits["train"].num_rows == n_train
    assert splits["train"].info.dataset_name == name


def test_the_environment_names_a_benchmark(zenodo, monkeypatch):
    monkeypatch.setenv("XRAYLIB_SOURCE", "chestmnist")
    assert "ChestMNIST of MedMNIST v2" in data.describe(data.load_splits())


def test_a_benchmark_that_was_fetched_needs_no_network(zenodo):
    before = data.content_of(data.load_splits("pneumoniamnist"))
    zenodo.stop()
    assert data.content_of(data.load_splits("pneumoniamnist")) == before
    assert len(zenodo.requests) == 1


def test_a_benchmark_damaged_in_the_cache_is_made_again_without_a_network(zenodo):
    folder = medmnist.prepare("pneumoniamnist")
    zenodo.stop()
    (folder / "train" / "NORMAL" / "pneumoniamnist_train_00000.png").write_bytes(b"damaged")
    assert store.is_whole(medmnist.prepare("pneumoniamnist"))


@pytest.mark.parametrize(
    "fault",
    ["404", "429", "500", "hangs", "drips headers", "stalls", "drips", "cuts", "log-in page"]
    + ["shorter", "longer", "other bytes", "cuts without length"],
)
def test_a_server_that_misbehaves_is_an_error_soon_and_not_for_good(zenodo, monkeypatch, fault):
    zenodo.fault = fault
    slow = fault in ("hangs", "drips headers", "stalls", "drips")
    monkeypatch.setattr(download, "SECONDS", 2 if slow else 7.5)
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match="pneumoniamnist.npz .*[Rr]un it again"):
        data.load_splits("pneumoniamnist")
    assert time.monotonic() - begun < 3 * download.SECONDS + 1  # on a busy machine
    assert not list(store.cache_dir().rglob("*.png"))
    zenodo.fault = ""
    monkeypatch.setattr(download, "SECONDS", 7.5)
    assert data.load_splits("pneumoniamnist").num_rows["train"] == 8


def test_a_download_that_broke_off_goes_on_where_it_stopped(zenodo):
    zenodo.fault = "cuts"
    with pytest.raises(ConnectionError, match="what has arrived is cached"):
        data.load_splits("pneumoniamnist")
    zenodo.fault = ""
    data.load_splits("pneumoniamnist")
    assert zenodo.ranges("pneumoniamnist.npz")[1] > 0


def test_the_described_test_set_is_known_to_have_been_seen(zenodo):
    described = data.describe(data.load_splits("pneumoniamnist"))
    assert "reference data set's random split has seen images of this test set" in described
    assert "The source states 4,708 / 524 / 624: this is another set of images." in described


@pytest.mark.parametrize("name", ["pneumoniamnist", "chestmnist"])
def test_the_catalogue_describes_each_benchmark(name):
    source = catalogue.SOURCES[name]
    assert source.license == "CC BY 4.0"
    assert "10.1038/s41597-022-01721-8" in source.citation


@pytest.mark.parametrize("name", ["pneumoniamnist", "chestmnist"])
def test_files_come_from_the_record_that_states_their_checksums(name):
    expected = f"https://zenodo.org/records/10519652/files/{name}.npz?download=1"
    assert medmnist.URL.format(name) == expected
    assert len(bytes.fromhex(medmnist.MD5[name])) == 16


def test_the_home_folder_may_be_written_as_a_tilde(write, monkeypatch):
    path = write(pneumonia())
    for name in ("HOME", "USERPROFILE"):  # as Linux and Windows call it
        monkeypatch.setitem(os.environ, name, str(path.parent))
    assert data.load_splits("~/file.npz").num_rows["train"] == 8
