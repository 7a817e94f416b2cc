"""Kill -9 at ten places of a download: next to nothing is fetched twice. Part of `make torture`."""

import subprocess
import sys
import time

from hub_server import zipped

from xraylib.files import store
from xraylib.sources import hub

SIZES = {"train": 16_000_000, "validation": 5_000_000, "test": 3_000_000}
RATE = 4_000_000
PLACES = (0.02, 0.1, 0.2, 0.35, 0.5, 0.62, 0.7, 0.82, 0.9, 0.98)
PREPARE = "from xraylib.sources import hub; print(hub.prepare())"


def partial():
    """Return the length of the archive that has arrived in part, in bytes; 0 if there is none."""
    files = store.cache_dir().glob("downloads/*/.*.zip.partial")
    return sum(path.stat().st_size for path in files)


def arrived():
    """Return the bytes on the disk, whole archives and the part of one."""
    files = store.cache_dir().glob("downloads/*/*.zip")
    return partial() + sum(path.stat().st_size for path in files)


def begin():
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", PREPARE], stdout=pipe, stderr=pipe, text=True)


def test_killed_at_ten_places_nothing_is_fetched_twice(hub_server, capsys):
    archives = {hub.ARCHIVES[split]: zipped(size) for split, size in SIZES.items()}
    server = hub_server(archives, rate=RATE)
    total = sum(len(content) for content in archives.values())
    rows = []
    for place in PLACES:
        child = begin()
        while arrived() < place * total and child.poll() is None:
            time.sleep(0.005)
        child.kill()
        child.communicate()
        rows.append((place, arrived(), partial(), server.served()))
    folder, errors = begin().communicate()
    resumed = [log["start"] for log in server.requests if log["path"].startswith("/cdn/")]
    resumed = [start for start in resumed if start]
    with capsys.disabled():
        print("\nkilled at  on the disk  of this archive  next request  served in all")
        for (place, on_disk, part, served), start in zip(rows, resumed, strict=True):
            print(f"{place:9.0%} {on_disk:12,} {part:16,} {start:13,} {served:14,}")
        print(f"{'whole':>9} {total:12,} {server.served():45,} ({server.served() / total:.3f})")
    assert errors == ""
    assert folder == f"{hub.prepare()}\n"
    assert all(
        start >= part - 256_000 for (_, _, part, _), start in zip(rows, resumed, strict=True)
    )
    assert server.served() <= 1.1 * total
    assert not [log for log in server.requests if "xet" in log["path"]]
