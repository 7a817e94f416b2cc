"""Kill -9 at random moments: every cached file is whole or absent, and the next run goes on.

Part of ``make torture``.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from xraylib.files import store

KILLS = {
    "drawing": 15,
    "preprocessing": 15,
    "saving arrays": 20,
    "training": 20,
    "saving a network": 15,
}
PROGRAM = Path(__file__).parents[1] / "programs" / "announced.py"


def whole_or_absent(cache):
    for folder in cache.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            assert store.is_whole(folder), folder


def start(what, result):
    command = [sys.executable, PROGRAM, what, result]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_until(child, phase, delay):
    """Kill the child `delay` seconds after it says `phase`; True if it still lived."""
    for line in child.stdout:
        if line.strip() == phase:
            time.sleep(delay)
            break
    alive = child.poll() is None
    child.kill()
    _, error = child.communicate()
    assert child.returncode in (0, -9), error
    return alive


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def test_kill_at_any_moment(cache, tmp_path, capsys, monkeypatch):
    chance, hit = random.Random(0), Counter()
    for phase, kills in KILLS.items():
        what = "network" if phase in ("training", "saving a network") else "arrays"
        longest = {"drawing": 1.5, "preprocessing": 0.05, "training": 0.3}.get(phase, 0.03)
        for _ in range(5 * kills):
            if hit[phase] == kills:
                break
            hit[phase] += run_until(
                start(what, tmp_path / "w.npz"), phase, chance.random() * longest
            )
            whole_or_absent(cache)
            remove = {
                "drawing": "phantom",
                "saving a network": "train_better_model",
                "training": "train_better_model",
            }
            for folder in cache.glob(
                f"{remove.get(phase, 'arrays')}-*"
            ):  # a run that was done before the signal came
                folder.rename(tmp_path / f"done-{len(list(tmp_path.iterdir()))}")
        assert hit[phase] == kills, phase
    weights = []
    for place in (cache, tmp_path / "fresh"):
        monkeypatch.setenv("XRAYLIB_CACHE", str(place))
        _, error = (child := start("network", tmp_path / "w.npz")).communicate()
        assert child.returncode == 0, error
        with np.load(tmp_path / "w.npz") as file:
            weights.append([file[name] for name in file.files])
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    assert not [path for path in cache.iterdir() if path.name.endswith((".partial", ".checkpoint"))]
    with capsys.disabled():
        print(
            f"\n{hit.total()} kills: " + ", ".join(f"{n} while {phase}" for phase, n in hit.items())
        )


def test_a_folder_that_may_only_be_read():
    code = """if True:
        import os, sys
        from xraylib.files import store
        os.getuid() or (os.setgid(65534), os.setuid(65534))  # a user whom permissions bind
        print(store.cached("there", "key", None))
        store.cached("thing", "key", lambda folder: None)
    """
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "XRAYLIB_CACHE": place}
        store_there = (
            f"import os; os.environ['XRAYLIB_CACHE'] = {place!r}; from xraylib.files import store; "
        )
        store_there += (
            "store.cached('there', 'key', lambda folder: (folder / 'file').write_text('cached'))"
        )
        subprocess.run([sys.executable, "-c", store_there], check=True)
        Path(place).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        Path(place).chmod(0o755)
    assert done.stdout == f"{place}/there-key\n"  # what is cached can still be used
    assert f"OSError: Nothing can be cached in {place}" in done.stderr
    assert "set XRAYLIB_CACHE to a folder that is" in done.stderr


def test_a_disk_that_is_full(tmp_path, monkeypatch):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        monkeypatch.setenv("XRAYLIB_CACHE", str(place))
        store.cached("small", "key", lambda folder: (folder / "file").write_bytes(bytes(1000)))
        for size in (2_000_000, 5_000_000):
            with pytest.raises(OSError, match="disk .* is full.*make room"):
                store.cached(
                    "large",
                    "key",
                    lambda folder, size=size: (folder / "file").write_bytes(bytes(size)),
                )
        whole_or_absent(place)
        assert not [path for path in place.iterdir() if path.name.endswith(".partial")]
        assert (store.cached("small", "key", None) / "file").stat().st_size == 1000
    finally:
        subprocess.run(["umount", place], check=True)
