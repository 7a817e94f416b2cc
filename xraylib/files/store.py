"""What is made once and needed again lies in one folder, under a name that its content decides.

An entry is written under a temporary name and renamed when it is whole; the SHA-256 of each file
is checked when the entry is asked for, and what is damaged or missing is made again. Nothing is
unpickled.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from uuid import uuid4

import numpy as np
from filelock import FileLock

MANIFEST = "manifest.json"


def cache_dir():
    """Return the folder of all cached files.

    Returns
    -------
    Path
        The environment variable XRAYLIB_CACHE, else ``~/.cache/xraylib``.

    Examples
    --------
    >>> cache_dir().is_absolute()
    True
    """
    folder = os.environ.get("XRAYLIB_CACHE") or Path.home() / ".cache" / "xraylib"
    return Path(folder).expanduser().absolute()


def is_interactive():
    """Tell whether a person watches: a terminal, or a kernel that a Jupyter server started.

    Progress bars are drawn only then.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_interactive() in (True, False)
    True
    """
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ


def content_key(*parts):
    """Digest the content of several things.

    Parameters
    ----------
    *parts : ndarray, Path, bytes, str, number, bool, None, or tuple, list or dict of these
        Of a path the file's content counts, not its name; no arrays in tuples, lists or dicts.

    Returns
    -------
    str
        16 hexadecimal digits.

    Raises
    ------
    TypeError
        For anything else, whose ``repr`` may not tell all of it.

    Examples
    --------
    >>> content_key("a", 1)
    'f62b16fab250738b'
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part)
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(part.view(np.uint8) if part.size else b"")
        elif isinstance(part, Path):
            digest.update(part.read_bytes())
        elif isinstance(part, bytes):
            digest.update(part)
        elif _is_told_by_repr(part):
            digest.update(repr(part).encode())
        else:
            raise TypeError(f"{type(part).__name__}: its content cannot be told from its repr.")
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _is_told_by_repr(part):
    if isinstance(part, dict):
        part = [*part, *part.values()]
    if isinstance(part, tuple | list):
        return all(map(_is_told_by_repr, part))
    return isinstance(part, str | int | float | np.generic | None)


def atomic_write(path, data):
    """Write a file so that `path` is the old or the new one, never half of it.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    data : bytes

    Examples
    --------
    >>> atomic_write(cache_dir() / "note.txt", b"whole")
    >>> (cache_dir() / "note.txt").read_bytes()
    b'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")  # two may write at once
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path):
    """Return the SHA-256 of a file, 64 hexadecimal digits.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str

    Examples
    --------
    >>> atomic_write(cache_dir() / "note.txt", b"whole")
    >>> sha256(cache_dir() / "note.txt")[:16]
    '5d5766cf2d787016'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder):
    """Tell whether every file of a cache entry is there, byte for byte.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool

    Examples
    --------
    >>> is_whole(cache_dir() / "nothing-of-this-name")
    False
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return all(sha256(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def cache_path(name, key):
    """Return the folder of a cache entry, whether it is there or not.

    Parameters
    ----------
    name, key : str
        As for `cached`.

    Returns
    -------
    Path

    Examples
    --------
    >>> cache_path("arrays", "0123").name
    'arrays-0123'
    """
    return cache_dir() / f"{name}-{key}"


def cached(name, key, make):
    """Return the folder of a cache entry, made first if it is missing or damaged.

    Two processes that ask at once make it once.

    Parameters
    ----------
    name : str
        What it is, for people who look into the folder.
    key : str
        What it was made from: see `content_key`.
    make : callable
        ``make(folder)`` writes files into an empty folder.

    Returns
    -------
    Path

    Raises
    ------
    OSError
        Names the folder and XRAYLIB_CACHE if nothing can be written there or the disk is full.

    Examples
    --------
    >>> folder = cached("note", "0123", lambda folder: (folder / "note.txt").write_text("made"))
    >>> (folder / "note.txt").read_text()
    'made'
    """
    folder = cache_path(name, key)
    if is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock")).acquire()
    except OSError as error:
        raise OSError(
            f"Nothing can be cached in {folder.parent} ({error}): make it writable, or set "
            "XRAYLIB_CACHE to a folder that is."
        ) from error
    with lock:
        if not is_whole(folder):
            _fill(folder, make)
    return folder


def _fill(folder, make):
    """Make a cache entry under another name and rename it when it is whole."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        make(partial)
        files = [path for path in sorted(partial.rglob("*")) if path.is_file()]
        manifest = {path.relative_to(partial).as_posix(): sha256(path) for path in files}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
        # Not before: what could not be read may be whole, its disk away for a moment.
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except Exception as error:
        # Libraries word a full disk in many ways (NumPy: "requested and written"), so ask the disk.
        if shutil.disk_usage(folder.parent).free < 1_000_000:
            raise OSError(
                f"The disk of {folder.parent} is full: make room, or set XRAYLIB_CACHE to a folder "
                "on another disk."
            ) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
