"""Files from the network: whole and right, resumed, or an error in words soon after the fault."""

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from xraylib.files import store
from xraylib.sources import download

NAME = "data/file.zip"
SMALL = np.random.default_rng(0).bytes(200_000)
SLOW = ("hangs", "drips headers", "stalls", "drips")
LARGE = np.random.default_rng(1).bytes(3_000_000)


@pytest.fixture
def fetch(hub_server, tmp_path, monkeypatch):
    """Return a function that downloads `content` from a server with a fault, and the server."""
    server = hub_server({NAME: SMALL})

    def call(fault="", content=SMALL, **stated):
        server.archives[NAME] = content
        server.fault = fault
        monkeypatch.setattr(download, "SECONDS", 2 if fault in SLOW else 7.5)
        digest = hashlib.sha256(content).hexdigest()
        stated = stated or {"size": len(content), "sha256": digest}
        return download.download(server.file_url(NAME), tmp_path / "file.zip", **stated)

    call.server = server
    call.partial = tmp_path / ".file.zip.partial"
    call.path = tmp_path / "file.zip"
    return call


def test_a_file_arrives_whole(fetch):
    assert fetch().read_bytes() == SMALL
    assert not fetch.partial.exists()


def test_a_file_that_is_there_is_not_fetched_again(fetch):
    fetch()
    n_requests = len(fetch.server.requests)
    fetch()
    assert len(fetch.server.requests) == n_requests


def test_a_file_damaged_on_the_disk_is_fetched_again(fetch):
    fetch().write_bytes(SMALL[::-1])
    assert fetch().read_bytes() == SMALL


@pytest.mark.parametrize("fault", ["cuts", "stalls", "drips"])
def test_the_next_call_goes_on_where_a_download_broke_off(fetch, fault):
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match="file.zip .*Run it again.* goes on from there"):
        fetch(fault)
    assert time.monotonic() - begun < 3 * download.SECONDS + 1  # on a busy machine
    on_disk = fetch.partial.read_bytes()
    assert on_disk.startswith(SMALL[: len(SMALL) // 2])
    assert fetch().read_bytes() == SMALL
    assert fetch.server.ranges(NAME) == [0, len(on_disk)]


def test_a_connection_that_is_cut_again_and_again_is_taken_up_each_time(fetch):
    assert fetch("cuts at 1.2 MB", LARGE).read_bytes() == LARGE
    assert fetch.server.ranges(NAME) == [0, 1_200_000, 2_400_000]


def test_a_server_that_refuses_ranges_begins_again_and_says_so(fetch, capsys):
    with pytest.raises(ConnectionError):
        fetch("cuts")
    assert capsys.readouterr().out == ""
    assert fetch("refuses ranges").read_bytes() == SMALL
    assert "cannot resume a download, so it begins again" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["404", "429", "500", "hangs", "drips headers"])
def test_a_server_that_does_not_give_the_file_is_given_up_soon(fetch, fault):
    begun = time.monotonic()
    with pytest.raises(ConnectionError, match=f"file.zip did not arrive .*({fault}|Timeout)"):
        fetch(fault)
    assert time.monotonic() - begun < 3 * download.SECONDS + 1  # on a busy machine


def test_a_server_that_is_not_there_is_an_error_in_words(fetch, tmp_path):
    with pytest.raises(ConnectionError, match="127.0.0.1:9/x did not arrive .*refused.*Run it"):
        download.download("http://127.0.0.1:9/x", tmp_path / "x")


@pytest.mark.parametrize("fault", ["shorter", "longer", "other bytes", "cuts without length"])
def test_other_bytes_than_stated_are_thrown_away(fetch, fault):
    with pytest.raises(ConnectionError, match="other bytes than stated .* thrown away: run it"):
        fetch(fault)
    assert not fetch.path.exists()
    assert not fetch.partial.exists()
    assert fetch().read_bytes() == SMALL


@pytest.mark.parametrize("fault", ["other bytes", "shorter"])
def test_an_md5_alone_decides_as_well(fetch, fault):
    digest = hashlib.md5(SMALL).hexdigest()
    with pytest.raises(ConnectionError, match="other bytes than stated"):
        fetch(fault, md5=digest)
    assert fetch(md5=digest).read_bytes() == SMALL


@pytest.mark.parametrize("stated", [{"size": len(SMALL)}, {"md5": hashlib.md5(SMALL).hexdigest()}])
def test_a_download_that_was_whole_when_its_process_ended_is_used(fetch, stated):
    fetch.partial.write_bytes(SMALL)
    assert fetch(**stated).read_bytes() == SMALL
    assert fetch.server.served() == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_in_words(fetch):
    fetch.partial.symlink_to("/dev/full")
    with pytest.raises(OSError, match="file.zip.partial cannot be written .*No space.* make room"):
        fetch()


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path):
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(OSError, match="occupied.* cannot be written .* set XRAYLIB_CACHE"):
        download.download("http://127.0.0.1:9/x", tmp_path / "occupied" / "x")


def test_two_that_ask_at_once_download_it_once(fetch):
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: fetch(content=LARGE), range(2)))
    assert paths[0].read_bytes() == LARGE
    assert fetch.server.served() == len(LARGE)


def test_no_thread_is_left_once_a_dripping_server_is_given_up(fetch):
    with pytest.raises(ConnectionError):
        fetch("drips headers")
    time.sleep(0.3)  # its next byte comes
    assert not [thread for thread in threading.enumerate() if "(worker)" in thread.name]


@pytest.mark.parametrize("watched", [True, False])
def test_progress_is_drawn_where_somebody_watches(fetch, monkeypatch, capsys, watched):
    monkeypatch.setattr(store, "is_interactive", lambda: watched)
    fetch()
    drawn = capsys.readouterr().err
    assert ("200k/200k" in drawn) == watched
    assert ("B/s]" in drawn) == watched
    assert bool(drawn) == watched
