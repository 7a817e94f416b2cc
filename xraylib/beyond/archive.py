"""Millions of files on several machines: the probabilities as a Parquet data set, part by part.

Dask does the distributing (the extra ``cluster``). It is pure Python, and the same few lines run on
the cores of a laptop, on Slurm (dask-jobqueue) or on Kubernetes (dask-kubernetes). Ray Data would
do as well: it also loads a model once a worker and survives a killed one. But it brings a runtime
of its own (79 MB), and it makes the parts by itself, so that going on after an interruption would
have to be built around it all the same.

The client alone writes: workers need this library and access to the files, nothing else. What they
send back is small (some 10 bytes a file), and one client serves about 200 cores.
"""

import hashlib
import json
import os
import re
from concurrent.futures import CancelledError, ThreadPoolExecutor
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
from filelock import FileLock
from pyarrow import parquet
from tqdm.auto import tqdm

from xraylib.cached import PIXEL_CODE
from xraylib.files.store import atomic_write, content_key, is_interactive
from xraylib.model import predict_proba
from xraylib.preprocessing import preprocess_image
from xraylib.quiet import keras

try:
    from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker
except ImportError as error:
    raise ImportError('Archives need Dask: pip install ".[cluster]"') from error

#: Files in a part: a few seconds of work, which is what a killed worker costs.
PART_SIZE = 2048
#: Threads that read and decode a part; more than one, so that a slow disk or network is waited for
#: several times at once.
READERS = 4
MANIFEST = "_manifest.json"
OWN = re.compile(rf"part-\d+\.parquet|{MANIFEST}")  # what a result consists of
SCHEMA = pa.schema({"file": pa.string(), "probability": pa.float32(), "error": pa.string()})


def predict_archive(model_path, files, out, *, client=None):
    """Predict the probability of PNEUMONIA for the files of an archive, on one machine or many.

    Interrupted and called again, it goes on with the parts that are missing. Of a list memory holds
    a few parts, however long it is; of a folder or glob also the names.

    Parameters
    ----------
    model_path : str or Path
        A network saved by ``model.save("network.keras")``. Workers get its content.
    files : str or Path
        A folder (all files whose name does not begin with a dot), a glob such as
        ``"s3://archive/**/*.dcm"``, or a list: ``.txt`` with a path or URL a line, ``.csv`` or
        ``.parquet`` with a column ``file``. URLs are those of fsspec: ``http://`` and whatever else
        is installed (s3fs, gcsfs …); ``memory://`` only with a client of threads. On several
        machines all must see the same paths, and relative ones count from where a worker was
        started.
    out : str or Path
        Folder of the result: Parquet with the columns ``file``, ``probability`` (float32 in [0, 1])
        and ``error``, one part for every 2,048 files, rows in the order of `files`. A file that
        cannot be read has no probability but an error. To try such files again, delete their parts.
    client : distributed.Client, optional
        Connected to any cluster of Dask. By default a local cluster runs for the time of the call,
        a process a core; a script then needs ``if __name__ == "__main__":``.

    Returns
    -------
    Path
        `out`, for `pandas.read_parquet`.

    Raises
    ------
    FileNotFoundError
        If there is no file to predict.
    ValueError
        If `out` lies in the folder of files, or holds the result of another model, list or version;
        `model_path` is no network; or a list has no column ``file``.
    OSError
        If a part cannot be written, or not a single file of one can be read: then a disk or the
        network is away.
    ConnectionError
        If the scheduler is lost.

    Examples
    --------
    >>> import pandas as pd
    >>> from xraylib.data import prepare
    >>> from xraylib.files.store import cache_dir
    >>> from xraylib.model import build_model
    >>> build_model().save(cache_dir() / "network.keras")
    >>> folder = prepare("phantom") / "test"
    >>> with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
    ...     out = predict_archive(
    ...         cache_dir() / "network.keras", folder, cache_dir() / "result", client=client
    ...     )
    >>> table = pd.read_parquet(out)
    >>> list(table), len(table)
    (['file', 'probability', 'error'], 120)
    """
    if Path(files).is_dir() and Path(out).resolve().is_relative_to(Path(files).resolve()):
        raise ValueError(f"{out} lies in {files}: give a folder for the result outside it.")
    if client is None:
        options = {
            "threads_per_worker": 1,  # and one thread of TensorFlow: together they use every core
            "env": {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"},
            "dashboard_address": "127.0.0.1:0",
            "silence_logs": "ERROR",  # a worker that comes back needs no line
        }
        with LocalCluster(**options) as cluster, Client(cluster) as local:
            return predict_archive(model_path, files, out, client=local)
    model = keras.saving.load_model(model_path, compile=False)  # tells at once if it is none,
    predict_proba(model, np.empty((0, *model.input_shape[1:]), np.float32))  # or cannot answer
    network = _Network(Path(model_path).read_bytes())
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / ".lock"):  # a second run waits, and finds all done
        n_files = _claim(out, network.name, files)
        client.register_plugin(network)
        bar = tqdm(total=n_files, unit="file", disable=not is_interactive())
        missing = _missing_parts(out, files, bar)

        # A few parts for each core are under way: none waits for the client, and memory stays flat.
        ahead = max(16, 3 * sum(client.nthreads().values()))
        running = as_completed()
        for path, names in missing:
            running.add(client.submit(_predict, network.name, path, names, retries=2, pure=False))
            if running.count() == ahead:
                _write(next(running), bar)
        for future in running:
            _write(future, bar)
    bar.close()
    return out


def list_files(files):
    """List the files of a folder, a glob or a list, one by one.

    Parameters
    ----------
    files : str or Path
        As in `predict_archive`.

    Yields
    ------
    str
        A path or URL; those of a folder in the order of `xraylib.beyond.predict_files`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or list.
    ValueError
        If a list has no column ``file``.

    Examples
    --------
    >>> from xraylib.data import prepare
    >>> len(list(list_files(prepare("phantom") / "test")))
    120
    """
    fs, path = fsspec.url_to_fs(str(files))
    suffix = Path(path).suffix
    if Path(files).is_dir():
        yield from _walk(str(Path(files)))
    elif set("*?[") & set(path):
        for name, info in sorted(fs.glob(path, detail=True).items()):
            if info["type"] == "file" and not Path(name).name.startswith("."):
                yield fs.unstrip_protocol(name) if "://" in str(files) else name
    elif suffix in (".txt", ".csv", ".parquet") and fs.exists(path):
        with fs.open(path) as file:
            try:
                for rows in _tables(file, suffix):
                    yield from map(str, rows["file"])
            except (KeyError, ValueError) as error:
                raise ValueError(
                    f"{files}: cannot be read as a list ({error}). Needed is UTF-8, and in a table "
                    "a column `file`."
                ) from error
    else:
        raise FileNotFoundError(
            f"{files}: nothing to predict. Give a folder, a glob with *, or a list that ends in "
            ".txt, .csv or .parquet."
        )


def _names(files, out):
    """List the files, without those of the result, which a glob may cover."""
    result = os.path.realpath(out)
    for name in list_files(files):
        folder, file = os.path.split(name)
        if not (OWN.fullmatch(file) and os.path.realpath(folder) == result):
            yield name


def _walk(folder):
    with os.scandir(folder) as entries:
        found = sorted((e.name, e.is_dir(follow_symlinks=False), e.is_file()) for e in entries)
    for name, is_folder, is_file in found:
        if is_folder:
            yield from _walk(os.path.join(folder, name))
        elif is_file and not name.startswith("."):
            yield os.path.join(folder, name)


def _tables(file, suffix):
    """Read a list lazily, in pieces with a column ``file``."""
    if suffix == ".txt":
        return ({"file": [line.decode("utf-8-sig").strip()]} for line in file if line.strip())
    if suffix == ".csv":
        return pd.read_csv(file, usecols=["file"], dtype=str, na_filter=False, chunksize=PART_SIZE)
    return parquet.ParquetFile(file).iter_batches(PART_SIZE)


def _claim(out, model, files):
    """Count the files, and make sure that the folder is for the results of these and this model."""
    digest = hashlib.sha256()
    n_files = 0
    for name in _names(files, out):
        digest.update(name.encode(errors="surrogatepass") + b"\n")
        n_files += 1
    if not n_files:
        raise FileNotFoundError(f"{files}: nothing to predict, it holds no file.")
    code = content_key(*(Path(module.__file__) for module in PIXEL_CODE))
    manifest = {
        "model": model,
        "list of files": digest.hexdigest(),
        "number of files in a part": PART_SIZE,
        "version of the preprocessing": code,
    }
    path = out / MANIFEST
    before = json.loads(path.read_text()) if path.exists() else manifest
    if changed := [what for what in manifest if manifest[what] != before.get(what)]:
        raise ValueError(
            f"{out} holds the result of another {' and another '.join(changed)}. Give another "
            "folder for the result, or delete this one."
        )
    atomic_write(path, json.dumps(manifest, indent=1).encode())
    return n_files


def _missing_parts(out, files, bar):
    """Yield path and names of each part that is not there yet."""
    names = _names(files, out)
    parts = iter(lambda: list(islice(names, PART_SIZE)), [])
    for number, part in enumerate(parts):
        path = out / f"part-{number:06}.parquet"
        if path.exists():
            bar.update(len(part))
        else:
            yield path, part


def _write(future, bar):
    try:
        path, content, n_files = future.result()
    except CancelledError as error:
        raise ConnectionError(
            "The scheduler is lost. What was predicted is written: start again, and it goes on."
        ) from error
    try:
        atomic_write(path, content)
    except OSError as error:
        raise OSError(
            f"{path}: cannot be written ({error}). Make room, start again, and it goes on."
        ) from error
    bar.update(n_files)


class _Network(WorkerPlugin):
    """The network on a worker; Dask also gives it to workers that come later or come back."""

    idempotent = True  # the same network is not loaded again in a second call

    def __init__(self, content):
        self.content = content
        self.name = f"xraylib-{content_key(content)}"

    def setup(self, worker):
        # In a thread: a worker that does not answer for the seconds of the import counts as lost.
        self.model = ThreadPoolExecutor(1).submit(self.load)

    def load(self):
        with TemporaryDirectory() as folder:
            path = Path(folder, "model.keras")
            path.write_bytes(self.content)
            return keras.saving.load_model(path, compile=False)


def _predict(network, path, names):
    """Return the content of a part, on a worker."""
    model = get_worker().plugins[network].model.result()
    with ThreadPoolExecutor(READERS) as pool:
        images = list(pool.map(_image, names, repeat(model.input_shape[1])))
    errors = [image if isinstance(image, Exception) else None for image in images]
    if len(names) > 100 and all(errors) and not any(isinstance(e, ValueError) for e in errors):
        raise OSError(
            f"None of {len(names):,} files can be read, the first being {names[0]} ({errors[0]}). "
            "Check the disk, the network and the paths, start again, and it goes on."
        )
    X = [image for image in images if not isinstance(image, Exception)]
    readable = np.array([error is None for error in errors])
    probabilities = np.zeros(len(names), np.float32)
    probabilities[readable] = predict_proba(model, np.reshape(X, (-1, *model.input_shape[1:])))
    columns = [
        pa.array([_printable(name) for name in names]),
        pa.array(probabilities, mask=~readable),
        pa.array([e and _printable(f"{type(e).__name__}: {e}") for e in errors], pa.string()),
    ]
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns, SCHEMA), sink)
    return path, sink.getvalue().to_pybytes(), len(names)


def _image(name, size):
    """Return a file as an array, or the error that it raises."""
    image = name
    try:
        if "://" in name:
            fs, path = fsspec.url_to_fs(name)
            image = fs.cat_file(path)
        return preprocess_image(image, size)
    except Exception as error:  # every file system has its own
        return error


def _printable(text):
    return text.encode(errors="replace").decode()  # names of files need not be UTF-8
