"""What is made once and needed again: prepared image sets, arrays, trained networks.

Everything lies in one folder (`home`) under a name that follows from the content it was made from, so a network
trained on one set of images is never found when another set is loaded. A folder is written under a temporary name
and renamed when it is whole; each file's SHA-256 is checked when it is read back, and what is damaged or missing is
made again. Nothing is unpickled.
"""

import hashlib
import inspect
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from filelock import FileLock

MANIFEST = "manifest.json"


def home():
    """The folder of kept files: the environment variable XRAYLIB_CACHE, else ``~/.cache/xraylib``."""
    return Path(os.environ.get("XRAYLIB_CACHE") or Path.home() / ".cache" / "xraylib").expanduser().absolute()


def watched():
    """True where a person watches: a terminal, or a kernel that a Jupyter server started. Progress bars need one."""
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ


def content_key(*parts):
    """The content of arrays, files (`Path`), bytes, strings and plain values as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part)
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(part.view(np.uint8) if part.size else b"")
        elif isinstance(part, Path):
            digest.update(part.read_bytes())
        else:
            digest.update(part if isinstance(part, bytes) else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def replace(path, content):
    """Write text, bytes, or what ``content(file)`` writes, so that `path` is the old or the new file, never half."""
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, "wb") as file:
        content(file) if callable(content) else file.write(content.encode() if isinstance(content, str) else content)
    partial.replace(path)


def sha256(path):
    """The SHA-256 of a file, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(folder):
    """True if every file that was kept in `folder` (a `Path`) is there, byte for byte."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        return all(sha256(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def place(name, key):
    """The folder (a `Path`, there or not) of the thing called `name` with the content key `key`."""
    return home() / f"{name}-{key}"


def keep(name, key, make):
    """Return the folder of a kept thing, made first if it is missing or damaged.

    `make(folder)` writes files into an empty folder. Two processes that ask at once make it once. Raises `OSError`
    naming the folder and XRAYLIB_CACHE if nothing can be written there or the disk is full.
    """
    folder = place(name, key)
    if is_whole(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_name(f".{folder.name}.lock")).acquire()
    except OSError as error:
        mend = "make it writable, or set XRAYLIB_CACHE to a folder that is"
        raise OSError(f"Nothing can be kept in {folder.parent} ({error}): {mend}.") from error
    with lock:
        if not is_whole(folder):
            partial = folder.with_name(f".{folder.name}.partial")
            for leftover in (folder, partial):
                shutil.rmtree(leftover, ignore_errors=True)
            partial.mkdir()
            try:
                make(partial)
                files = [path for path in sorted(partial.rglob("*")) if path.is_file()]
                manifest = {path.relative_to(partial).as_posix(): sha256(path) for path in files}
                (partial / MANIFEST).write_text(json.dumps(manifest, indent=1))
                partial.rename(folder)
            except Exception as error:
                if shutil.disk_usage(folder.parent).free < 1_000_000:
                    mend = "make room, or set XRAYLIB_CACHE to a folder on another disk"
                    raise OSError(f"The disk of {folder.parent} is full: {mend}.") from error
                raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def load_arrays(splits, size=28):
    """`preprocess_split` for all three splits, kept and reused as long as images, labels, size and code are the same.

    `splits` is what `xraylib.data.load_splits` returns. Returns the tuple ``X_train, y_train, X_validation,
    y_validation, X_test, y_test``: X (n, size, size, 1) float32 in [0, 1], y (n,) int64. Raises what
    `preprocess_split` raises.
    """
    from xraylib import preprocessing
    from xraylib.data import content_of

    def make(folder):
        for split in ("train", "validation", "test"):
            X, y = preprocessing.preprocess_split(splits[split], size)
            np.save(folder / f"X_{split}.npy", X, allow_pickle=False)
            np.save(folder / f"y_{split}.npy", y, allow_pickle=False)

    key = content_key(content_of(splits), size, Path(preprocessing.__file__))
    folder = keep("arrays", key, make)
    names = [f"{letter}_{split}" for split in ("train", "validation", "test") for letter in "Xy"]
    return tuple(np.load(folder / f"{name}.npy", allow_pickle=False) for name in names)


def load_trained(train, X, y, X_validation, y_validation, **settings):
    """``train(X, y, X_validation, y_validation, **settings) -> (model, history)``, kept and reused.

    `train` is `xraylib.model.train_model` or another function of its signature. The kept network is found again
    only for the very same arrays, settings and code. If `train` has an argument ``progress``, a training that was
    interrupted goes on from its last whole epoch. Returns ``(model, history)``, as `train` does; the model carries
    ``fit_seconds``, the wall-clock time that its training took.
    """
    from xraylib import training
    from xraylib.model import keras  # and with it the layers of our own that a kept network may have

    code = (Path(inspect.getfile(train)), Path(training.__file__), train.__name__, keras.__version__)
    known = inspect.signature(train).parameters
    chosen = {name: known[name].default for name in known if known[name].kind is inspect.Parameter.KEYWORD_ONLY}
    spelled_out = sorted({**chosen, **settings}.items())
    key = content_key(X, y, X_validation, y_validation, spelled_out, *code)
    progress = place(f".{train.__name__}", f"{key}.progress")

    def make(folder):
        goes_on = {"progress": progress} if "progress" in known else {}
        start = time.monotonic() - training.seconds_of(progress)
        model, history = train(X, y, X_validation, y_validation, **settings, **goes_on)
        model.save(folder / "model.keras")
        kept = {"history": history, "seconds": time.monotonic() - start}
        (folder / "training.json").write_text(json.dumps(kept))

    folder = keep(train.__name__, key, make)
    shutil.rmtree(progress, ignore_errors=True)
    model = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    kept = json.loads((folder / "training.json").read_text())
    model.fit_seconds = kept["seconds"]
    return model, kept["history"]
