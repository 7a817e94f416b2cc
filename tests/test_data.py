"""The sources of radiographs: folders, zips, the Hub (a small server on loopback), phantoms."""

import hashlib
import io
import json
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
from PIL import Image

from xraylib import data, phantom, store
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


# ------------------------------------------------------------------------------------------------------------ the Hub


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's interface as downloading a data set takes; `broken` says how it fails, `where` at what."""

    archives = {path: zipped(seed=number, side=600) for number, path in enumerate(data.ARCHIVES.values())}
    broken, where = "", ("metadata", "archive")
    asked, headers_seen = [], []
    over = Event()  # ends what hangs

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.asked.append(self.path)
        self.headers_seen.append(dict(self.headers))
        path = next((name for name in self.archives if self.path.endswith(name)), None)
        if self.broken == "404" or not (path or "/api/datasets/" in self.path):
            return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        if ("archive" if path else "metadata") in self.where:
            if self.broken in ("429", "500"):
                return self.answer(int(self.broken), b"{}", {"Retry-After": "3600"} if self.broken == "429" else {})
            if self.broken == "hangs":
                return self.over.wait(60)
        if not path:
            files = [{"rfilename": name, "lfs": self.lfs(content)} for name, content in self.archives.items()]
            return self.answer(200, json.dumps({"_id": "0", "id": data.HUB, "siblings": files}).encode())
        content, digest = self.archives[path], self.lfs(self.archives[path])["sha256"]
        if self.broken == "other bytes":
            content = content[::-1]
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": "0" * 40, "Accept-Ranges": "bytes"}
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = max(len(content) // 2 - start, 0) if self.broken in ("breaks off", "drips") else None
        self.answer(206 if start else 200, content[start:], headers, cut)

    def answer(self, status, content, headers=(), cut=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:cut])
        while cut is not None and self.broken == "drips" and not self.over.wait(0.3) and cut < len(content):
            self.wfile.write(content[cut : cut + 1])
            cut += 1
        if cut is not None:
            self.close_connection = True

    @staticmethod
    def lfs(content):
        return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub on loopback, with empty caches."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FreshHub", (Hub,), {"asked": [], "headers_seen": []}))
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    import huggingface_hub.constants as constants
    import huggingface_hub.file_download as download
    import huggingface_hub.hf_api as api

    for module in (constants, download, api):
        for name, value in (("ENDPOINT", address), ("HF_HUB_CACHE", str(tmp_path / "hf"))):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    for module in (constants, download):
        if hasattr(module, "HUGGINGFACE_CO_URL_TEMPLATE"):
            monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path / "kept"))
    server.RequestHandlerClass.over = Event()
    yield server.RequestHandlerClass
    server.RequestHandlerClass.over.set()
    server.shutdown()
    server.server_close()


def test_the_hub_is_downloaded_once_and_then_needs_no_network(hub, capsys):
    splits = data.load_splits("hub")
    assert {name: len(split) for name, split in splits.items()} == dict.fromkeys(SPLITS, 2)
    assert "2 / 2 / 2 images; described are 4,077 / 1,165 / 582" in capsys.readouterr().out
    hub.broken = "404"
    before = len(hub.asked)
    assert data.load_splits("auto")["train"]["label"] == [0, 1]
    assert len(hub.asked) == before


def test_a_hub_without_the_data_set_is_an_error_or_with_auto_the_phantoms(hub, capsys):
    hub.broken = "404"
    with pytest.raises(ConnectionError, match=f"The Hub does not give {data.HUB} .* Try again"):
        data.load_splits("hub")
    assert data.decide_source("auto") == "phantom"
    assert "THESE ARE PHANTOMS, NOT PATIENTS" in capsys.readouterr().out


@pytest.mark.parametrize(("how", "message"), [("breaks off", "broke off"), ("other bytes", "other bytes than the Hub")])
def test_a_failed_download_leaves_nothing_and_a_second_try_succeeds(hub, how, message):
    hub.broken = how
    with pytest.raises(ConnectionError, match=message):
        data.load_splits("auto")
    assert not store.is_whole(data._hub_folder())
    hub.broken = ""
    assert data.load_splits("auto")["test"]["label"] == [0, 1]
    begun = [headers.get("Range") for headers in hub.headers_seen if headers.get("Range")]
    assert bool(begun) == (how == "breaks off")  # the second try asked for the rest alone


@pytest.mark.parametrize("where", ["metadata", "archive"])
@pytest.mark.parametrize("how", ["429", "500", "hangs", "drips"])
def test_a_hub_that_does_not_answer_is_given_up_soon(hub, monkeypatch, how, where):
    monkeypatch.setattr(data, "HUB_SECONDS", 1)
    monkeypatch.setattr(data, "STALLED", (1, 1000))
    hub.broken, hub.where = how, (where,)
    start = time.monotonic()
    if (how, where) != ("drips", "metadata"):  # the answer to the first question is too short to drip
        with pytest.raises(ConnectionError, match="Try again|Run it again"):
            data.load_splits("hub")
    assert time.monotonic() - start < 15
    assert not store.place("hub", "*").parent.exists() or not list(store.home().glob("hub-*"))
    hub.broken = ""
    hub.over.set()
    monkeypatch.setattr(data, "HUB_SECONDS", 30)
    monkeypatch.setattr(data, "STALLED", (30, 1000))
    assert data.load_splits("hub")["test"]["label"] == [0, 1]


def test_no_token_is_sent_and_no_code_asked_for(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    data.load_splits("hub")
    assert hub.headers_seen
    assert not any("authorization" in {name.lower() for name in headers} for headers in hub.headers_seen)
    assert not any(path.endswith(".py") for path in hub.asked)
