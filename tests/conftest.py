"""Toy images for tests of networks, small files for those of sources, a cache of their own."""

import io

import numpy as np
import pytest
from hub_server import HubServer
from PIL import Image


@pytest.fixture(scope="session")
def toy_images():
    """X, y of 64 images, half of each class, PNEUMONIA with a bright square; 16 to validate."""
    rng = np.random.default_rng(0)
    y = np.arange(64) % 2
    X = rng.random((64, 28, 28, 1), np.float32) * 0.2
    X[y == 1, 8:20, 8:20] += 0.7  # so plain that one epoch learns something
    return X, y, X[:16], y[:16]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XRAYLIB_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def png():
    """A function from a seed to the content of a small PNG file."""

    def content(seed, side=9):
        file = io.BytesIO()
        pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return content


@pytest.fixture
def fill(png):
    """A function that writes two images a class into the folder of a split."""

    def write(folder):
        for class_name in ("NORMAL", "PNEUMONIA"):
            (folder / class_name).mkdir(parents=True)
            for number in range(2):
                name = f"person{number}_virus_{number}.png"
                content = png([number, *folder.name.encode()])
                (folder / class_name / name).write_bytes(content)

    return write


@pytest.fixture
def folder(tmp_path, cache, fill):
    """A folder called set with two images a class in each split."""
    for split in ("train", "val", "test"):
        fill(tmp_path / "set" / split)
    return tmp_path / "set"


@pytest.fixture
def hub_server(tmp_path, monkeypatch):
    """Return a function that starts a Hub on loopback, with an empty cache, and its archives."""
    servers = []

    def start(archives, rate=None):
        servers.append(HubServer(archives, rate))
        monkeypatch.setenv("HF_ENDPOINT", servers[-1].url)
        monkeypatch.setenv("XRAYLIB_CACHE", str(tmp_path / "cache"))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
