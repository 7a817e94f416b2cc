"""What tests of several folders use."""

import pytest
from hub_server import HubServer


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
