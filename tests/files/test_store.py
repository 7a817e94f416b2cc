"""Cache entries: whole or not at all, made once, made again when damaged."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from xraylib.files import store

pytestmark = pytest.mark.usefixtures("cache")


def write(folder, text="content"):
    (folder / "file.txt").write_text(text)


def test_a_thing_is_made_once():
    made = []
    for _ in range(2):
        folder = store.cached("thing", "key", lambda folder: (made.append(1), write(folder)))
    assert made == [1]
    assert (folder / "file.txt").read_text() == "content"


@pytest.mark.parametrize("damage", ["truncate", "change", "delete", "manifest"])
def test_damage_is_noticed_and_made_again(damage):
    file = store.cached("thing", "key", write) / "file.txt"
    if damage == "delete":
        file.unlink()
    elif damage == "manifest":
        (file.parent / store.MANIFEST).write_text("{")
    else:
        file.write_text("cont" if damage == "truncate" else "CONTENT")
    assert (store.cached("thing", "key", write) / "file.txt").read_text() == "content"


def test_a_failure_leaves_nothing(cache):
    def fail(folder):
        write(folder)
        raise RuntimeError("the power went off")

    with pytest.raises(RuntimeError, match="power"):
        store.cached("thing", "key", fail)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_what_could_not_be_read_for_a_moment_is_not_lost(monkeypatch):
    def fail(*args):
        raise OSError("the disk is away")

    store.cached("thing", "key", write)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="away"):
        patch.setattr(store, "sha256", fail)
        store.cached("thing", "key", fail)
    assert (store.cached("thing", "key", fail) / "file.txt").read_text() == "content"


def test_a_folder_that_cannot_be_written_is_named(cache, monkeypatch):
    cache.mkdir()
    (cache / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("XRAYLIB_CACHE", str(cache / "occupied"))
    with pytest.raises(OSError, match="occupied .* set XRAYLIB_CACHE"):
        store.cached("thing", "key", write)


def slow(folder):
    time.sleep(0.5)
    (folder.parent / f"made-{time.monotonic_ns()}").touch()
    write(folder)


def cache_slowly(_):
    return str(store.cached("thing", "key", slow))


def test_two_processes_at_once_make_one_result(cache):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(cache_slowly, range(2)))) == 1
    assert len(list(cache.glob("made-*"))) == 1


def test_many_writers_of_one_file_leave_a_whole_one(tmp_path):
    contents = [bytes([number]) * 1_000_000 for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.atomic_write, [tmp_path / "file"] * 50, contents))
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("the disk is away")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="away"):
        store.atomic_write(tmp_path / "file", b"content")
    assert not [*tmp_path.iterdir()]


def test_keys_follow_from_content():
    X = np.zeros((2, 2), np.float32)
    changed = X.copy()
    changed[1, 1] = 1e-7
    keys = [
        store.content_key(part)
        for part in (X, changed, X.reshape(4), X.view(np.int32), b"", "", 1, np.empty(0))
    ]
    assert len(set(keys)) == len(keys)
    assert store.content_key(X) == store.content_key(np.asfortranarray(X))
    assert store.content_key("a", "b") != store.content_key("ab")


@pytest.mark.parametrize("part", [object(), [np.zeros(3)], {"a": (1, np.zeros(3))}, {1, 2}])
def test_nothing_is_digested_by_a_repr_that_may_hide_something(part):
    with pytest.raises(TypeError, match="cannot be told"):
        store.content_key(part)
