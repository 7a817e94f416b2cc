"""Files from the network, each fetched once: an interrupted download goes on where it stopped.

Bytes are written as they come, under another name, and each attempt asks for the missing rest
alone, in this process or in a later one. What goes wrong on the way is noticed within 30 seconds:
either another attempt begins, or an error says what to do.
"""

import hashlib
import multiprocessing.pool
import time

import httpx2
from filelock import FileLock
from tqdm.auto import tqdm

from xraylib.files import store

#: How long a server may take to begin its answer, and how long it may send nothing, in seconds.
SECONDS = 7.5
#: The slowest pace, in bytes per second: an attempt that falls behind it by SECONDS is given up. So
#: it lasts at most 30 s with fewer than 100 kB: 7.5 s of advance at their beginning, the 15 s that
#: the pace allows for 100 kB, and 7.5 s until the next byte comes or is no longer waited for.
SLOWEST = 100_000 / 15


def download(url, path, *, size=None, sha256=None, md5=None):
    """Download a file, or the rest of it, unless it is there already.

    Two processes that ask at once download it once. No credentials are sent.

    Parameters
    ----------
    url : str
        Redirects are followed.
    path : Path
        Where the whole file will be. What has arrived lies beside it as ``.NAME.partial``.
    size : int, optional
        Length of the file in bytes.
    sha256, md5 : str, optional
        Its checksum, in hexadecimal digits. If both are given, the SHA-256 decides.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ConnectionError
        The server refuses, breaks off, sends nothing for 7.5 s, is slower than 7 kB/s, or gives
        other bytes than stated. It comes within 30 s and names the URL and the fix.
    OSError
        Nothing can be written, for example because the disk is full. It names the file and the fix.

    Examples
    --------
    >>> note = store.cache_dir() / "note.txt"
    >>> store.atomic_write(note, b"whole")
    >>> download("https://example.org/note.txt", note, size=5) == note  # nothing is asked for
    True
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with FileLock(path.with_name(f".{path.name}.lock")):  # makes the folder as well
            if not (path.exists() and _is_right(path, size, sha256, md5)):
                _fetch(url, partial, size)
                if not _is_right(partial, size, sha256, md5):
                    partial.unlink()
                    raise ConnectionError(
                        f"{url} gave other bytes than stated (length or checksum). They were "
                        f"thrown away: run it again to download the file anew."
                    )
                partial.replace(path)
    except ConnectionError:
        raise
    except OSError as error:
        raise OSError(
            f"{partial} cannot be written ({reason(error)}): make room there, or set XRAYLIB_CACHE "
            f"to a folder on another disk. What has arrived is cached."
        ) from error
    return path


def reason(error):
    """Return the name of an error and the first line of its message.

    Examples
    --------
    >>> reason(ValueError("no image"))
    'ValueError: no image'
    """
    return f"{type(error).__name__}: {error}".strip(": ").splitlines()[0]


def _is_right(path, size, sha256, md5):
    """Tell whether a file has the stated length and checksum (None: not stated)."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256" if sha256 else "md5").hexdigest()
    return size in (None, path.stat().st_size) and (sha256 or md5) in (None, digest)


def _fetch(url, partial, size):
    """Fetch what is missing, in as many attempts as each bring 1 MB of it."""
    partial.touch()
    while size is None or partial.stat().st_size < size:
        before = partial.stat().st_size
        try:
            return _receive(url, partial, size, before)
        except (httpx2.HTTPError, multiprocessing.TimeoutError, ConnectionError) as error:
            if partial.stat().st_size < before + 1_000_000:
                raise ConnectionError(
                    f"{url} did not arrive ({reason(error)}). Run it again, later if need be: what "
                    f"has arrived is cached, and the download goes on from there."
                ) from error


def _receive(url, partial, size, start):
    """Ask once for the bytes from `start` on, and write them as they come."""
    # The client's time-out begins anew with each byte, and none ends the look-up of a name: so a
    # thread waits for the answer, and is left behind. It ends when its connection is closed.
    with (
        httpx2.Client(follow_redirects=True, timeout=SECONDS) as client,
        multiprocessing.pool.ThreadPool(1) as pool,
    ):
        request = client.build_request(
            "GET", url, headers={"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
        )
        response = pool.apply_async(client.send, [request], {"stream": True}).get(SECONDS)
        # Status 416, "range not satisfiable": nothing comes after what has arrived.
        if response.status_code == 416:
            return
        response.raise_for_status()
        # Status 206 means the range asked for, status 200 the file from its beginning.
        if start and response.status_code == 200:
            print(f"{url}: this server cannot resume a download, so it begins again.")
            start = 0
        deadline = time.monotonic() + SECONDS
        with (
            open(partial, "ab" if start else "wb") as file,
            tqdm(
                desc=url.rpartition("/")[2],
                initial=start,
                total=size,
                unit="B",
                unit_scale=True,
                disable=not store.is_interactive(),
            ) as bar,
        ):
            for chunk in response.iter_raw():
                bar.update(file.write(chunk))
                # Each byte buys time, up to SECONDS in advance.
                now = time.monotonic()
                deadline = min(deadline + len(chunk) / SLOWEST, now + SECONDS)
                if now > deadline:
                    raise ConnectionError(f"slower than {SLOWEST / 1000:.0f} kB/s")
