"""The Hub's data set: fetched once, as plain files, whatever ends the process on the way."""

import hashlib
import subprocess
import sys
import time

import pytest
from hub_server import zipped

from xraylib.files import store
from xraylib.sources import hub

SIZES = {"train": 3_000_000, "validation": 500_000, "test": 300_000}
PREPARE = "from xraylib.sources import hub; print(hub.prepare())"


@pytest.fixture
def server(hub_server):
    return hub_server({hub.ARCHIVES[split]: zipped(size) for split, size in SIZES.items()})


def test_the_hub_becomes_a_folder_of_images(server):
    folder = hub.prepare()
    for split in SIZES:
        names = [
            path.relative_to(folder / split).as_posix() for path in folder.glob(f"{split}/*/*")
        ]
        assert sorted(names) == ["NORMAL/IM-0000-0001.jpg", "PNEUMONIA/IM-0001-0001.jpg"]
    assert not (store.cache_dir() / "downloads" / folder.name).exists()


def test_a_data_set_that_was_downloaded_needs_no_network(server):
    assert not hub.is_cached()
    folder = hub.prepare()
    server.stop()
    assert hub.is_cached()
    assert hub.prepare() == folder


def test_the_archives_are_described_as_the_repo_states_them(server):
    for split, (url, size, sha256) in hub.archive_files().items():
        content = server.archives[hub.ARCHIVES[split]]
        assert url == server.file_url(hub.ARCHIVES[split])
        assert (size, sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("fault", ["404", "429", "500", "hangs", "drips", "drips headers"])
def test_a_hub_that_does_not_answer_is_given_up_soon(server, monkeypatch, fault):
    monkeypatch.setattr(hub, "SECONDS", 0.3)
    server.fault = fault
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match=f"does not give {hub.NAME} .*({fault}|Timeout).*Try"):
        hub.prepare()
    assert time.monotonic() - begun < 20  # the server hangs for 60
    assert not hub.is_cached()


def test_a_hub_without_an_archive_is_an_error_in_words(server):
    del server.archives["data/valid.zip"]
    with pytest.raises(ConnectionError, match="does not give .*data/valid.zip.* Try again"):
        hub.archive_files()


def test_the_log_in_page_of_a_guest_network_is_not_the_hub(server):
    server.fault = "log-in page"
    with pytest.raises(ConnectionError, match="does not give .* Try again with a network"):
        hub.archive_files()


@pytest.mark.parametrize("fault", ["cuts", "other bytes"])
def test_a_download_that_failed_is_followed_by_one_that_succeeds(server, fault):
    server.fault, server.where = fault, ("archive",)
    with pytest.raises(ConnectionError, match="train.zip"):
        hub.prepare()
    assert not hub.is_cached()
    server.fault = ""
    assert store.is_whole(hub.prepare())
    assert (server.ranges("data/train.zip")[-1] > 0) == (fault == "cuts")


def test_what_was_damaged_in_the_cache_is_fetched_again(server):
    folder = hub.prepare()
    (folder / "train" / "NORMAL" / "IM-0000-0001.jpg").write_bytes(b"damaged")
    assert store.is_whole(hub.prepare())


def test_no_token_is_sent_and_xet_is_not_taken(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.prepare()
    names = {name.lower() for request in server.requests for name in request["headers"]}
    assert not names & {"authorization", "cookie"}
    assert not [request for request in server.requests if "xet" in request["path"]]


def test_killed_and_begun_again_it_goes_on_where_it_stopped(server):
    server.rate = 2_000_000
    child = subprocess.Popen([sys.executable, "-c", PREPARE], stdout=subprocess.PIPE)
    while server.served() < 1_000_000 and child.poll() is None:
        time.sleep(0.01)
    child.kill()
    child.communicate()
    partial = next(store.cache_dir().glob("downloads/*/.train.zip.partial"))
    on_disk = partial.stat().st_size
    served = server.served()
    done = subprocess.run([sys.executable, "-c", PREPARE], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == f"{hub.prepare()}\n"
    assert server.ranges("data/train.zip")[1] >= on_disk - 256_000
    total = sum(len(content) for content in server.archives.values())
    assert server.served() - served <= total - on_disk + 256_000
    assert not [request for request in server.requests if "xet" in request["path"]]
