"""Kill -9 at random moments: every kept file is whole or absent, and the next run goes on. Part of `make torture`."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from xraylib import store

KILLS = {
    "drawing": 15,
    "preprocessing": 15,
    "saving arrays": 20,
    "training": 35,
    "saving a network": 25,
}
CHILD = """if True:
    import sys
    from pathlib import Path
    import numpy as np
    from xraylib import data, preprocessing, store

    def say(phase):
        print(phase, flush=True)

    def announced(phase, function):
        def call(*args, **kwargs):
            say(phase)
            return function(*args, **kwargs)
        return call

    if sys.argv[1] == "network":
        from xraylib import model, training
        from xraylib.model import keras
        keras.Sequential.save = announced("saving a network", keras.Sequential.save)
        training.replace = announced("training", training.replace)
    say("ready")
    np.save = announced("saving arrays", np.save)
    preprocessing.preprocess_split = announced("preprocessing", preprocessing.preprocess_split)
    data.phantom.patients_and_pictures = announced("drawing", data.phantom.patients_and_pictures)
    splits = data.load_phantoms({"train": 40, "validation": 10, "test": 10})
    arrays = store.load_arrays(splits)
    if sys.argv[1] == "network":
        network, _ = store.load_trained(model.train_model, *arrays[:4], epochs=8, batch_size=8)
        np.savez(sys.argv[2], *network.get_weights())
    say("done")
"""


def whole_or_absent(kept):
    for folder in kept.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            assert store.is_whole(folder), folder


def start(what, result):
    command = [sys.executable, "-c", CHILD, what, str(result)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_until(child, phase, delay):
    """Kill the child `delay` seconds after it says `phase`; True if it still lived."""
    for line in child.stdout:
        if line.strip() == phase:
            time.sleep(delay)
            break
    alive = child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    return alive


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    return tmp_path / "kept"


def test_kill_at_any_moment(kept, tmp_path, capsys):
    chance, hit = random.Random(0), Counter()
    for phase, kills in KILLS.items():
        what = "network" if phase in ("training", "saving a network") else "arrays"
        longest = {"drawing": 1.5, "preprocessing": 0.05, "training": 0.3}.get(phase, 0.03)
        while hit[phase] < kills:
            hit[phase] += run_until(
                start(what, tmp_path / "w.npz"), phase, chance.random() * longest
            )
            whole_or_absent(kept)
            remove = {
                "drawing": "phantom",
                "saving a network": "train_model",
                "training": "train_model",
            }
            for folder in kept.glob(
                f"{remove.get(phase, 'arrays')}-*"
            ):  # a run that was done before the signal came
                folder.rename(tmp_path / f"done-{len(list(tmp_path.iterdir()))}")
    weights = []
    for place in (kept, tmp_path / "fresh"):
        os.environ["XRAYLIB_CACHE"] = str(place)
        _, error = (child := start("network", tmp_path / "w.npz")).communicate()
        assert child.returncode == 0, error
        with np.load(tmp_path / "w.npz") as file:
            weights.append([file[name] for name in file.files])
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    assert not [path for path in kept.iterdir() if path.name.endswith((".partial", ".progress"))]
    with capsys.disabled():
        print(
            f"\n{hit.total()} kills: " + ", ".join(f"{n} while {phase}" for phase, n in hit.items())
        )


def test_a_folder_that_may_only_be_read():
    code = """if True:
        import os, sys
        from xraylib import store
        os.getuid() or (os.setgid(65534), os.setuid(65534))  # a user whom permissions bind
        print(store.keep("there", "key", None))
        store.keep("thing", "key", lambda folder: None)
    """
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "XRAYLIB_CACHE": place}
        store_there = (
            f"import os; os.environ['XRAYLIB_CACHE'] = {place!r}; from xraylib import store; "
        )
        store_there += (
            "store.keep('there', 'key', lambda folder: (folder / 'file').write_text('kept'))"
        )
        subprocess.run([sys.executable, "-c", store_there], check=True)
        Path(place).chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        Path(place).chmod(0o755)
    assert done.stdout == f"{place}/there-key\n"  # what is kept can still be used
    assert f"OSError: Nothing can be kept in {place}" in done.stderr
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
        store.keep("small", "key", lambda folder: (folder / "file").write_bytes(bytes(1000)))
        for size in (2_000_000, 5_000_000):
            with pytest.raises(OSError, match="disk .* is full.*make room"):
                store.keep(
                    "large",
                    "key",
                    lambda folder, size=size: (folder / "file").write_bytes(bytes(size)),
                )
        whole_or_absent(place)
        assert not [path for path in place.iterdir() if path.name.endswith(".partial")]
        assert (store.keep("small", "key", None) / "file").stat().st_size == 1000
    finally:
        subprocess.run(["umount", place], check=True)
