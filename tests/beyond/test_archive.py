"""An archive on a cluster: equal to one machine, and nothing lost on the way."""

import errno
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import fsspec
import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client, LocalCluster

from xraylib.__main__ import main
from xraylib.beyond import archive, predict_files
from xraylib.beyond.archive import list_files, predict_archive
from xraylib.files import decoding
from xraylib.model import build_model
from xraylib.quiet import keras

QUIET = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


@pytest.fixture(scope="module")
def processes():
    """A client of two worker processes, which start while the other tests run."""
    with (
        LocalCluster(
            2, 1, dashboard_address="127.0.0.1:0", silence_logs="ERROR", env=QUIET
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def threads():
    """A client of two threads in this process."""
    with Client(processes=False, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        yield client


@pytest.fixture(scope="module")
def model():
    return build_model()


@pytest.fixture
def model_path(model, tmp_path):
    model.save(tmp_path / "network.keras")
    return tmp_path / "network.keras"


@pytest.fixture
def files(tmp_path, png):
    """A folder of 22 files, two of them in folders whose names lie between those of files."""
    for number in range(22):
        path = tmp_path / "files" / (f"1{number}/x.png" if number > 19 else f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    (tmp_path / "files" / ".hidden").write_text("no image")
    return tmp_path / "files"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "result"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(archive, "PART_SIZE", 4)


def assert_same(out, expected):
    """The data set has the rows of a table of `predict_files`, in its order, and no error."""
    table = pd.read_parquet(out)
    assert table["file"].tolist() == expected["file"].tolist()
    assert np.allclose(table["probability"], expected["probability"], rtol=0, atol=1e-6)
    assert table["error"].isna().all()


# The result


def test_worker_processes_give_what_predict_files_gives(model, model_path, files, out, processes):
    predict_archive(model_path, files, out, client=processes)
    assert_same(out, predict_files(model, files))


def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    model, model_path, files, out, processes, monkeypatch
):
    write = archive.atomic_write

    def kill_then_write(path, data):
        if path.name == "part-000001.parquet":
            pid = next(iter(processes.run(os.getpid).values()))
            psutil.Process(pid).kill()
        write(path, data)

    monkeypatch.setattr(archive, "PART_SIZE", 1)
    monkeypatch.setattr(archive, "atomic_write", kill_then_write)
    predict_archive(model_path, files, out, client=processes)
    assert len([*out.glob("part-*")]) == 22
    assert_same(out, predict_files(model, files))


def test_a_part_has_so_many_files(model_path, files, out, threads):
    predict_archive(model_path, files, out, client=threads)
    parts = [len(pd.read_parquet(part)) for part in sorted(out.glob("part-*"))]
    assert parts == [4, 4, 4, 4, 4, 2]


def test_probabilities_are_single_precision(model_path, files, out, threads):
    table = pd.read_parquet(predict_archive(model_path, files, out, client=threads))
    assert table["probability"].dtype == np.float32


def test_a_worker_loads_the_network_once(model_path, files, out, threads):
    predict_archive(model_path, files, out, client=threads)
    loaded = threads.run(lambda dask_worker: [*map(id, dask_worker.plugins.values())])
    predict_archive(model_path, files, out.with_name("again"), client=threads)
    assert threads.run(lambda dask_worker: [*map(id, dask_worker.plugins.values())]) == loaded


# Files that cannot be read


def test_a_damaged_file_is_a_row_with_its_error(model, model_path, files, out, threads):
    (files / "3.png").write_bytes(b"")
    (files / "5.png").write_bytes((files / "5.png").read_bytes()[:-20])
    table = pd.read_parquet(predict_archive(model_path, files, out, client=threads))
    damaged = table[table["error"].notna()].set_index("file")
    assert [*damaged.index] == [str(files / "3.png"), str(files / "5.png")]
    assert damaged["probability"].isna().all()
    assert "the file is empty" in damaged["error"].iloc[0]
    whole = table[table["error"].isna()]
    expected = predict_files(model, whole["file"].tolist())["probability"]
    assert np.allclose(whole["probability"], expected, atol=1e-6)


def test_a_part_of_damaged_files_is_no_end(model_path, files, out, threads):
    for path in files.rglob("*.png"):
        path.write_bytes(b"no image")
    table = pd.read_parquet(predict_archive(model_path, files, out, client=threads))
    assert table["error"].str.contains("cannot be read as an image").all()


def test_a_missing_file_is_a_row_with_its_error(model_path, files, out, threads, tmp_path):
    (tmp_path / "list.txt").write_text(f"{files / '3.png'}\n{files / 'nowhere.png'}\n")
    table = pd.read_parquet(predict_archive(model_path, tmp_path / "list.txt", out, client=threads))
    assert table["error"].str.startswith("FileNotFoundError").tolist() == [False, True]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are UTF-8 elsewhere")
def test_names_need_not_be_utf_8(model_path, files, out, threads):
    (files / "3.png").rename(os.fsdecode(os.fsencode(files) + b"/\xff3.png"))
    (files / "4.png").rename(os.fsdecode(os.fsencode(files) + b"/\xff4"))
    os.truncate(os.fsencode(files) + b"/\xff4", 9)
    table = pd.read_parquet(predict_archive(model_path, files, out, client=threads))
    assert table["file"].tail(2).tolist() == [f"{files}/?3.png", f"{files}/?4"]
    assert table["error"].notna().tail(2).tolist() == [False, True]


def test_a_disk_that_is_away_ends_the_run(model_path, out, threads, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "PART_SIZE", 200)
    (tmp_path / "list.txt").write_text("\n".join(f"/nowhere/{number}" for number in range(150)))
    with pytest.raises(OSError, match="None of 150 files can be read, the first .*nowhere/0"):
        predict_archive(model_path, tmp_path / "list.txt", out, client=threads)


def test_a_disk_that_fails_ends_the_run(model_path, out, threads, tmp_path, png, monkeypatch):
    monkeypatch.setattr(archive, "PART_SIZE", 200)
    monkeypatch.setattr(decoding, "_content", Mock(side_effect=OSError(errno.EIO, "no disk")))
    (tmp_path / "chest.png").write_bytes(png(0))
    (tmp_path / "list.txt").write_text(f"{tmp_path}/chest.png\n" * 150)
    with pytest.raises(OSError, match="None of 150 files can be read, the first .*no disk"):
        predict_archive(model_path, tmp_path / "list.txt", out, client=threads)


# Interrupted and started again


def test_only_missing_parts_are_made_again(model, model_path, files, out, threads):
    predict_archive(model_path, files, out, client=threads)
    (out / "part-000002.parquet").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    predict_archive(model_path, files, out, client=threads)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert_same(out, predict_files(model, files))


def test_an_interrupted_run_goes_on(model, model_path, files, out, threads, monkeypatch):
    write = archive.atomic_write

    def interrupt(path, data):
        if path.name == "part-000003.parquet":
            raise KeyboardInterrupt
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "atomic_write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            predict_archive(model_path, files, out, client=threads)
    predict_archive(model_path, files, out, client=threads)
    assert_same(out, predict_files(model, files))


def test_another_network_is_noticed(model_path, files, out, threads):
    predict_archive(model_path, files, out, client=threads)
    build_model().save(model_path)
    with pytest.raises(ValueError, match="result of another model. Give another folder"):
        predict_archive(model_path, files, out, client=threads)


def test_another_list_is_noticed(model_path, files, out, threads, png):
    predict_archive(model_path, files, out, client=threads)
    (files / "9a.png").write_bytes(png(0))
    with pytest.raises(ValueError, match="result of another list of files. Give another folder"):
        predict_archive(model_path, files, out, client=threads)


def test_a_result_among_its_files_is_refused(model_path, files, threads):
    with pytest.raises(ValueError, match=r"out lies in .*files: give a folder .* outside it\."):
        predict_archive(model_path, files, files / "out", client=threads)
    assert not (files / "out").exists()


def test_a_glob_that_covers_its_result_is_read_without_it(model, model_path, files, threads):
    out = files / "result"
    for _ in range(2):
        predict_archive(model_path, files / "**" / "*", out, client=threads)
    assert_same(out, predict_files(model, sorted(files.rglob("*.png"))))


@pytest.mark.skipif(sys.platform == "win32", reason="links need permission there")
def test_a_glob_that_reaches_its_result_by_a_link_is_read_without_it(
    model_path, files, threads, tmp_path
):
    (tmp_path / "link").symlink_to(files)
    (files / "result").mkdir()
    (files / "0.png").rename(files / "result" / "0.png")  # beside the result, and asked for
    for _ in range(2):
        out = predict_archive(
            model_path, tmp_path / "link" / "**" / "*", files / "result", client=threads
        )
    names = pd.concat(pd.read_parquet(part)["file"] for part in sorted(out.glob("part-*")))
    assert len(names) == 22
    assert names.str.endswith("result/0.png").sum() == 1


def test_a_network_that_cannot_answer_leaves_the_folder_free(model_path, files, out, threads):
    last = [keras.layers.Flatten(), keras.layers.Dense(2), keras.layers.Softmax()]
    keras.Sequential([keras.Input((28, 28, 1)), *last]).save(model_path)
    with pytest.raises(ValueError, match="two"):
        predict_archive(model_path, files, out, client=threads)
    build_model().save(model_path)
    predict_archive(model_path, files, out, client=threads)


def test_what_is_no_network_is_an_error(files, out, threads, tmp_path):
    (tmp_path / "no.keras").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"no\.keras"):
        predict_archive(tmp_path / "no.keras", files, out, client=threads)


def test_a_part_that_cannot_be_written_says_so(model_path, files, out, threads, monkeypatch):
    write = archive.atomic_write

    def full(path, data):
        if path.suffix == ".parquet":
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(archive, "atomic_write", full)
    with pytest.raises(OSError, match=r"part-\d+.parquet: cannot be written .*Make room"):
        predict_archive(model_path, files, out, client=threads)


def test_the_command_tells_how_many_files_have_an_error(
    model_path, files, out, processes, monkeypatch, capsys
):
    (files / "3.png").write_bytes(b"")
    address = processes.scheduler.address
    command = ["xraylib", "predict", model_path, files, out, "--scheduler", address]
    monkeypatch.setattr(sys, "argv", [*map(str, command)])
    main()
    printed = capsys.readouterr()
    assert printed.out == f"{out}: 22 files, 1 of them with an error\n"
    assert printed.err == ""  # no progress where nobody watches


# What files there are


def test_a_folder_lists_what_predict_files_lists(model, files):
    assert [*list_files(files)] == predict_files(model, files)["file"].tolist()


@pytest.mark.skipif(sys.platform == "win32", reason="links need permission there")
def test_links_are_listed_as_predict_files_lists_them(model, files, tmp_path):
    for name, target in (("file", files / "3.png"), ("folder", tmp_path), ("broken", "nowhere")):
        (files / f"link to {name}").symlink_to(target)
    listed = [*list_files(files)]
    assert listed == predict_files(model, files)["file"].tolist()
    assert listed[-1] == str(files / "link to file")


def test_a_glob_lists_files_in_order(files):
    assert [*list_files(files / "1*.png")] == sorted(map(str, files.glob("1*.png")))


def test_a_glob_lists_no_folder_and_nothing_hidden(files):
    listed = [*list_files(f"{files}/**")]
    assert sorted(listed) == sorted(map(str, files.rglob("*.png")))


@pytest.mark.parametrize("suffix", ["txt", "csv", "parquet"])
def test_a_list_is_read_in_its_order(suffix, tmp_path):
    names = [f"s3://archive/ü {number}, 1.png" for number in (3, 1, 2, 5, 4, 3)]
    table = pd.DataFrame({"number": range(6), "file": names})
    path = tmp_path / f"list.{suffix}"
    if suffix == "txt":
        path.write_text("\n".join(names), encoding="utf-8")
    else:
        getattr(table, f"to_{suffix}")(path)
    assert [*list_files(path)] == names


def test_a_list_is_read_lazily(tmp_path):
    content = b"file\n" + b"chest.png\n" * 100_000
    (tmp_path / "list.csv").write_bytes(content + b"\xff.png\n")  # its end is no UTF-8
    names = list_files(tmp_path / "list.csv")
    assert next(names) == "chest.png"
    with pytest.raises(ValueError, match="list.csv: cannot be read as a list"):
        list(names)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_list_without_the_column_is_an_error(suffix, tmp_path):
    getattr(pd.DataFrame({"path": ["chest.png"]}), f"to_{suffix}")(tmp_path / f"list.{suffix}")
    with pytest.raises((ValueError, KeyError), match="file"):
        [*list_files(tmp_path / f"list.{suffix}")]


@pytest.mark.parametrize("name", ["nowhere", "nowhere.csv", "list.xls"])
def test_what_is_no_list_is_an_error(name, tmp_path):
    (tmp_path / "list.xls").write_text("no list")
    with pytest.raises(FileNotFoundError, match=f"{name}: nothing to predict. Give a folder"):
        [*list_files(tmp_path / name)]


def test_an_empty_list_is_an_error(model_path, out, threads, tmp_path):
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(FileNotFoundError, match="list.txt: nothing to predict"):
        predict_archive(model_path, tmp_path / "list.txt", out, client=threads)


def test_files_in_memory(model, model_path, files, out, threads):
    names = [path.name for path in sorted(files.glob("*.png"))]
    for name in names:
        fsspec.filesystem("memory").pipe_file(f"/archive/{name}", (files / name).read_bytes())
    predict_archive(model_path, "memory://archive/*.png", out, client=threads)
    expected = predict_files(model, sorted(files.glob("*.png")))
    assert_same(out, expected.assign(file=[f"memory:///archive/{name}" for name in names]))


def test_files_of_a_web_server(model, model_path, files, out, processes, tmp_path):
    handler = partial(QuietHandler, directory=files)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        urls = [f"http://127.0.0.1:{server.server_port}/{n}.png" for n in range(10)]
        pd.DataFrame({"file": [*urls, f"{urls[0]}x"]}).to_parquet(tmp_path / "list.parquet")
        try:
            predict_archive(model_path, tmp_path / "list.parquet", out, client=processes)
        finally:
            server.shutdown()
    table = pd.read_parquet(out)
    expected = predict_files(model, [files / f"{n}.png" for n in range(10)])
    assert np.allclose(table["probability"][:10], expected["probability"], atol=1e-6)
    assert table["error"].notna().tolist() == [False] * 10 + [True]


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_a_list_that_is_none_is_named(tmp_path):
    pd.DataFrame({"name": ["a.png"]}).to_parquet(tmp_path / "list.parquet")
    (tmp_path / "list.csv").write_text("name\na.png\n")
    (tmp_path / "list.txt").write_bytes("ü.png".encode("latin-1"))
    for suffix in ("parquet", "csv", "txt"):
        with pytest.raises(ValueError, match=f"list.{suffix}: cannot be read as a list"):
            list(list_files(tmp_path / f"list.{suffix}"))


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "list.txt").write_text("a.png", encoding="utf-8-sig")
    assert [*list_files(tmp_path / "list.txt")] == ["a.png"]
