"""The data set of the Hugging Face Hub, downloaded once and from then on used without a network.

Its three archives are fetched as plain files and checked against the SHA-256 that the repo states.
The Hub has 5 seconds to say whether it is there, and a download that fails says so within 30.
"""

import multiprocessing.pool
import os
import shutil

import httpx2

from xraylib.files import store
from xraylib.sources.download import download, reason
from xraylib.sources.folder import unpack

#: 5,856 radiographs of children aged one to five from Guangzhou Women and Children's Medical Center
#: (Kermany, Zhang, Goldbaum: Mendeley Data, doi:10.17632/rscbjbr9sj, CC BY 4.0), less 32 exact
#: duplicates, stretched to 640×640 and split at random over images.
NAME = "keremberke/chest-xray-classification"
ARCHIVES = {"train": "data/train.zip", "validation": "data/valid.zip", "test": "data/test.zip"}
#: How long the Hub may take in all to say whether the data set is there, in seconds.
SECONDS = 5


def is_cached():
    """Tell whether the data set has been downloaded. Its content is checked by `prepare`.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_cached() in (True, False)
    True
    """
    return store.cache_path("hub", _key()).is_dir()


def archive_files():
    """Ask the Hub for the archives of the data set: at most 5 s until the answer or an error.

    Returns
    -------
    dict of str to tuple
        For each split the archive's URL (str), length in bytes (int) and SHA-256 (str), as the
        repo's metadata state them.

    Raises
    ------
    ConnectionError
        The Hub does not answer, or does not have the data set. It names the fix.

    Examples
    --------
    >>> url, size, sha256 = archive_files()["train"]  # doctest: +SKIP
    """
    try:
        # A thread waits for the answer, since that may drip for ever: see `download`.
        with (
            httpx2.Client(follow_redirects=True, timeout=SECONDS) as client,
            multiprocessing.pool.ThreadPool(1) as pool,
        ):
            answer = (
                pool.apply_async(client.get, [f"{_endpoint()}/api/datasets/{NAME}?blobs=true"])
                .get(SECONDS)
                .raise_for_status()
            )
        stated = {file["rfilename"]: file.get("lfs") for file in answer.json()["siblings"]}
        return {
            split: (
                f"{_endpoint()}/datasets/{NAME}/resolve/main/{path}",
                stated[path]["size"],
                stated[path]["sha256"],
            )
            for split, path in ARCHIVES.items()
        }
    except Exception as error:  # whatever goes wrong on the way, the data set is not there
        raise ConnectionError(
            f"{_endpoint()} does not give {NAME} ({reason(error)}). "
            f'Try again with a network, or use source="phantom" or a folder of images.'
        ) from error


def prepare():
    """Return the folder of the data set, downloaded and unpacked first if it is missing or damaged.

    Archives lie in the cache's folder ``downloads`` until the data set is whole, so that whatever
    ends the process, the next one goes on where it stopped.

    Returns
    -------
    Path
        It has ``train/NORMAL/``, ``train/PNEUMONIA/``, and so on in ``validation`` and ``test``.

    Raises
    ------
    ConnectionError
        The Hub or the network fails. See `archive_files` and `download`.
    ValueError
        An archive is damaged. See `folder.unpack`.
    OSError
        Nothing can be written, for example because the disk is full.

    Examples
    --------
    >>> (prepare() / "test" / "NORMAL").is_dir()  # doctest: +SKIP
    """
    downloads = store.cache_dir() / "downloads" / f"hub-{_key()}"

    def make(folder):
        for split, (url, size, sha256) in archive_files().items():
            unpack(
                download(url, downloads / f"{split}.zip", size=size, sha256=sha256),
                folder / split,
            )

    folder = store.cached("hub", _key(), make)
    shutil.rmtree(downloads, ignore_errors=True)
    return folder


def _endpoint():
    """Return the Hub's address, or a mirror's, as other programs of the Hub find it."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _key():
    return store.content_key(_endpoint(), NAME)
