"""A small Hub on loopback that counts what it serves, and misbehaves on request."""

import hashlib
import io
import json
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np

from xraylib.sources import hub

CHUNK = 8192


def zipped(n_bytes, seed=0):
    """Return a zip of two images, one of each class, of about `n_bytes`."""
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, class_name in enumerate(["NORMAL", "PNEUMONIA"]):
            archive.writestr(f"{class_name}/IM-{number:04}-0001.jpg", rng.bytes(n_bytes // 2))
    return file.getvalue()


class HubServer:
    """Serve one data set repo like the Hub, with redirects and the offer of Xet.

    Parameters
    ----------
    archives : dict of str to bytes
        Path in the repo to content.
    rate : int, optional
        Bytes per second of each answer.

    Attributes
    ----------
    fault : str
        How it misbehaves; "" if it does not. See `Handler`.
    where : tuple of str
        At what: "metadata", "archive" or both.
    requests : list of dict
        Path, headers, first byte, and the number of bytes served, of each request.
    """

    def __init__(self, archives, rate=None):
        self.archives = archives
        self.rate = rate
        self.fault = ""
        self.where = ("metadata", "archive")
        self.requests = []
        self.over = Event()  # ends what hangs
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.hub = self
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def file_url(self, path):
        return f"{self.url}/datasets/{hub.NAME}/resolve/main/{path}"

    def served(self):
        """Return how many bytes of archives have been served."""
        return sum(log["served"] for log in self.requests if log["path"].startswith("/cdn/"))

    def ranges(self, path):
        """Return the first byte of each request for an archive."""
        return [request["start"] for request in self.requests if request["path"] == f"/cdn/{path}"]

    def stop(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answer as the Hub does. Faults:

    "404", "429", "500": this status. "hangs": no answer. "drips headers": a byte now and then.
    "log-in page": a page of a guest network.
    "stalls", "drips", "cuts": so after half of the bytes asked for. "cuts at 1.2 MB": each answer
    after 1.2 MB. "cuts without length": after half, without a Content-Length.
    "refuses ranges": always the whole file. "shorter", "longer", "other bytes": another file.
    """

    def do_GET(self):
        hub_server = self.server.hub
        path = self.path.removeprefix("/cdn/")
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        assert not last
        self.log = {"path": self.path, "headers": dict(self.headers), "served": 0}
        self.log["start"] = int(first)
        hub_server.requests.append(self.log)
        kind = "metadata" if self.path.startswith("/api/") else "archive"
        self.fault = hub_server.fault if kind in hub_server.where else ""
        if self.fault in ("404", "429", "500"):
            self.answer(int(self.fault), b"{}", {"Retry-After": "3600"})
        elif self.fault == "hangs":
            hub_server.over.wait(60)
        elif self.fault == "log-in page":
            self.answer(200, b"<html>Welcome to the guest network</html>")
        elif self.fault == "drips headers":
            self.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 600)
        elif self.path == f"/api/datasets/{hub.NAME}?blobs=true":
            self.metadata(hub_server)
        elif self.path.startswith(f"/datasets/{hub.NAME}/resolve/main/"):
            self.redirect(hub_server)
        elif path in hub_server.archives:
            self.archive(hub_server.archives[path], self.log["start"])
        else:
            self.answer(404, b"{}")

    do_HEAD = do_POST = do_GET

    def metadata(self, hub_server):
        files = [
            {"rfilename": name, "size": len(content), "lfs": stated(content)}
            for name, content in hub_server.archives.items()
        ]
        content = json.dumps({"id": hub.NAME, "siblings": [{"rfilename": "README.md"}, *files]})
        self.answer(200, content.encode(), cut=0 if self.fault == "drips" else None)

    def redirect(self, hub_server):
        path = self.path.partition("/resolve/main/")[2]
        digest = stated(hub_server.archives[path])["sha256"]
        route = f"{hub_server.url}/api/datasets/{hub.NAME}/xet-read-token/main"
        headers = {
            "Location": f"/cdn/{path}",
            "X-Xet-Hash": digest,
            "X-Xet-Refresh-Route": route,
            "Link": f'<{route}>; rel="xet-auth"',
            "X-Linked-Etag": f'"{digest}"',
        }
        self.answer(302, b"", headers)

    def archive(self, content, start):
        if self.fault == "shorter":
            content = content[:-1000]
        elif self.fault == "longer":
            content += bytes(1000)
        elif self.fault == "other bytes":
            content = content[::-1]
        if start >= len(content):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        partial = "Range" in self.headers and self.fault != "refuses ranges"
        headers = {}
        if partial:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content = content[start:]
        cut = len(content) // 2 if self.fault in ("stalls", "drips", "cuts") else None
        if self.fault == "cuts without length":
            cut = len(content) // 2
            headers["Content-Length"] = None
        if self.fault == "cuts at 1.2 MB":
            cut = 1_200_000
        self.answer(206 if partial else 200, content, headers, cut)

    def answer(self, status, content, headers=(), cut=None):
        """Send `content`, the bytes after `cut` in the way of the fault."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | dict(headers)).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        begun = time.monotonic()
        for sent in range(0, len(content[:cut]), CHUNK):
            piece = content[:cut][sent : sent + CHUNK]
            try:
                self.wfile.write(piece)
            except OSError:  # whoever asked is gone
                return
            self.log["served"] += len(piece) if status in (200, 206) else 0
            if self.server.hub.rate:
                due = begun + (sent + len(piece)) / self.server.hub.rate
                time.sleep(max(due - time.monotonic(), 0))
        if cut is not None and self.fault == "stalls":
            self.server.hub.over.wait(60)
        if cut is not None and self.fault == "drips":
            self.drip(content[cut:])

    def drip(self, content):
        """Send a byte ten times a second until nobody listens."""
        for byte in content:
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return
            if self.server.hub.over.wait(0.1):
                return

    def log_message(self, *_):
        pass


def stated(content):
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
