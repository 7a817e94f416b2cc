"""An archive under kill -9 of workers, client and scheduler, on a full disk, with damaged files.

Part of ``make torture``.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from distributed import Client, LocalCluster

from xraylib.beyond import archive
from xraylib.beyond.archive import predict_archive
from xraylib.beyond.batch import predict_files
from xraylib.files.store import atomic_write
from xraylib.model import build_model

DASK = [sys.executable, "-m", "dask"]

PROGRAM = Path(__file__).parents[1] / "programs" / "archived.py"
LOCAL = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": "ERROR"}
N_FILES = 2000


@pytest.fixture(scope="module")
def model():
    return build_model()


@pytest.fixture(scope="module")
def model_path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "network.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory, png):
    """2,000 files, 1% of them damaged."""
    folder = tmp_path_factory.mktemp("files")
    for number in range(N_FILES):
        content = png(number, 200)
        (folder / f"{number:04}.png").write_bytes(content[: 99 if number % 100 == 7 else None])
    return folder


@pytest.fixture(scope="module")
def expected(model, files):
    """What `predict_files` gives for the whole files."""
    return predict_files(model, [p for p in sorted(files.iterdir()) if p.stat().st_size > 99])


@pytest.fixture
def out(tmp_path):
    return tmp_path / "result"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(archive, "PART_SIZE", 8)


def check(out, files, expected):
    """Every file is there once and in order: damaged with its error, else as on one machine."""
    table = pd.read_parquet(out)
    assert table["file"].tolist() == sorted(map(str, files.iterdir()))
    assert table["error"].notna().sum() == N_FILES // 100
    whole = table[table["error"].isna()].reset_index(drop=True)
    assert whole["file"].equals(expected["file"])
    assert (whole["probability"] - expected["probability"]).abs().max() < 1e-6


def test_workers_are_killed_again_and_again(model_path, files, out, expected, monkeypatch):
    chance, killed = random.Random(0), []

    with LocalCluster(2, **LOCAL) as cluster, Client(cluster) as client:

        def write(path, data):
            if path.suffix == ".parquet" and int(path.stem[5:]) % 30 == 20:
                nannies = [nanny for nanny in cluster.workers.values() if nanny.pid]
                killed.append(chance.choice(nannies).pid)
                psutil.Process(killed[-1]).kill()
            atomic_write(path, data)

        monkeypatch.setattr(archive, "atomic_write", write)
        predict_archive(model_path, files, out, client=client)
    assert len(set(killed)) == 8
    check(out, files, expected)


def start(*arguments):
    command = [sys.executable, PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_parts(child, n_parts):
    for _ in range(n_parts):
        assert child.stdout.readline()


def test_the_client_is_killed_at_any_moment(model_path, files, out, expected):
    chance = random.Random(1)
    with LocalCluster(2, **LOCAL) as cluster, Client(cluster) as client:
        for _ in range(5):
            child = start(model_path, files, out, cluster.scheduler_address)
            wait_for_parts(child, 1 + chance.randrange(20))
            time.sleep(chance.random() * 0.02)
            child.kill()
            child.communicate()
        assert 5 <= len([*out.glob("part-*")]) < N_FILES / 8
        predict_archive(model_path, files, out, client=client)
    check(out, files, expected)


def test_the_scheduler_is_killed(model_path, files, out, expected, tmp_path):
    ready = tmp_path / "scheduler.json"
    options = ["--scheduler-file", ready, "--host", "127.0.0.1", "--no-dashboard"]
    scheduler = subprocess.Popen([*DASK, "scheduler", *options, "--port", "0"])
    worker = subprocess.Popen([*DASK, "worker", "--scheduler-file", ready, "--nthreads", "1"])
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert time.monotonic() < deadline and scheduler.poll() is None
            time.sleep(0.1)
        with Client(scheduler_file=ready) as client:
            address = client.scheduler.address
        child = start(model_path, files, out, address)
        wait_for_parts(child, 5)
        scheduler.kill()
        _, error = child.communicate(timeout=120)
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert child.returncode
    assert "ConnectionError: The scheduler is lost. What was predicted is written" in error
    with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
        predict_archive(model_path, files, out, client=client)
    check(out, files, expected)


def test_the_disk_is_full(model_path, files, tmp_path, expected):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
            with pytest.raises(OSError, match="cannot be written .*No space left.* Make room"):
                predict_archive(model_path, files, disk / "out", client=client)
            written = {path: path.stat().st_mtime_ns for path in disk.glob("out/part-*")}
            subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
            predict_archive(model_path, files, disk / "out", client=client)
        assert written
        assert {path: path.stat().st_mtime_ns for path in written} == written
        check(disk / "out", files, expected)
        assert not [*disk.glob("out/.*.partial")]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_an_archive_without_files(model_path, out, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="nothing to predict, it holds no file"):
        predict_archive(model_path, tmp_path / "empty", out)
