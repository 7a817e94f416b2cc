"""What is kept between notebooks: found again for the same content only, whole or not at all."""

import json
import multiprocessing
import time

import numpy as np
import pytest

from xraylib import store


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path))
    return tmp_path


def write(folder, text="content"):
    (folder / "file.txt").write_text(text)


def test_a_thing_is_made_once():
    made = []
    for _ in range(2):
        folder = store.keep("thing", "key", lambda folder: (made.append(1), write(folder)))
    assert made == [1]
    assert (folder / "file.txt").read_text() == "content"


@pytest.mark.parametrize("damage", ["truncate", "change", "delete", "manifest"])
def test_damage_is_noticed_and_mended(damage):
    file = store.keep("thing", "key", write) / "file.txt"
    if damage == "delete":
        file.unlink()
    elif damage == "manifest":
        (file.parent / store.MANIFEST).write_text("{")
    else:
        file.write_text("cont" if damage == "truncate" else "CONTENT")
    assert (store.keep("thing", "key", write) / "file.txt").read_text() == "content"


def test_a_failure_leaves_nothing(kept):
    def fail(folder):
        write(folder)
        raise RuntimeError("the power went off")

    with pytest.raises(RuntimeError, match="power"):
        store.keep("thing", "key", fail)
    assert [path.name for path in kept.iterdir() if path.is_dir()] == []


def test_a_folder_that_cannot_be_written_is_named(kept, monkeypatch):
    (kept / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("XRAYLIB_CACHE", str(kept / "occupied"))
    with pytest.raises(OSError, match="occupied .* set XRAYLIB_CACHE"):
        store.keep("thing", "key", write)


def slow(folder):
    time.sleep(0.5)
    (folder.parent / f"made-{time.monotonic_ns()}").touch()
    write(folder)


def keep_slowly(_):
    return str(store.keep("thing", "key", slow))


def test_two_processes_at_once_make_one_result(kept):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(keep_slowly, range(2)))) == 1
    assert len(list(kept.glob("made-*"))) == 1


def test_keys_follow_from_content(tmp_path):
    X = np.zeros((2, 2), np.float32)
    changed = X.copy()
    changed[1, 1] = 1e-7
    keys = [store.content_key(part) for part in (X, changed, X.reshape(4), X.view(np.int32), b"", "", 1, np.empty(0))]
    assert len(set(keys)) == len(keys)
    assert store.content_key(X) == store.content_key(np.asfortranarray(X))
    assert store.content_key("a", "b") != store.content_key("ab")


def test_arrays_are_made_again_for_another_pixel_size_or_code(few_phantoms, monkeypatch, tmp_path):
    from xraylib import preprocessing

    calls = []
    real = preprocessing.preprocess_split
    monkeypatch.setattr(preprocessing, "preprocess_split", lambda *args: calls.append(args[1]) or real(*args))
    splits = few_phantoms
    first = store.load_arrays(splits)
    again = store.load_arrays(splits)
    assert calls == [28] * 3
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert store.load_arrays(splits, 14)[0].shape == (12, 14, 14, 1)
    splits["test"] = splits["train"].select(range(6, 12))
    assert len(store.load_arrays(splits)[4]) == 6
    assert calls == [28] * 3 + [14] * 3 + [28] * 3
    (tmp_path / "newer.py").write_text("# other code")
    monkeypatch.setattr(preprocessing, "__file__", str(tmp_path / "newer.py"))
    store.load_arrays(splits)
    assert len(calls) == 12


def test_no_pickle_is_ever_loaded(few_phantoms):
    store.load_arrays(few_phantoms)
    (folder,) = store.home().glob("arrays-*")
    np.save(folder / "X_train.npy", np.array([{"a": 1}], object), allow_pickle=True)
    manifest = json.loads((folder / store.MANIFEST).read_text())
    manifest["X_train.npy"] = store.sha256(folder / "X_train.npy")
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        store.load_arrays(few_phantoms)
