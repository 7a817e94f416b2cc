"""Arrays and trained networks, made once and shared by all notebooks.

Both are found again only for the very same images, settings and code, so a network trained on one
set of images is never evaluated on another by accident.
"""

import inspect
import json
import shutil
import time
from pathlib import Path

import numpy as np

from xraylib import preprocessing
from xraylib.data import SPLIT_NAMES, content_of
from xraylib.files import decoding, dicom, store

#: The code that makes pixels: arrays are made again when any of it changes.
#:
#: :meta hide-value:
PIXEL_CODE = (preprocessing, decoding, dicom)
#: Settings of a training function that do not change the network.
NO_PART_OF_THE_NETWORK = ("verbose", "checkpoint_dir")


def load_arrays(splits, size=28):
    """Load all three splits as arrays, preprocessed once.

    Parameters
    ----------
    splits : datasets.DatasetDict
        What `xraylib.data.load_splits` returns.
    size : int
        Side of the images in pixels.

    Returns
    -------
    X_train, y_train, X_validation, y_validation, X_test, y_test : ndarray
        X is (n, size, size, 1) float32 in [0, 1], y is (n,) int64: 0 is NORMAL, 1 is PNEUMONIA.

    Raises
    ------
    ValueError
        Lists every image that cannot be read.

    Examples
    --------
    >>> from xraylib.data import load_splits
    >>> X_train, y_train, *_ = load_arrays(load_splits("phantom"))
    >>> X_train.shape
    (840, 28, 28, 1)
    """

    def make(folder):
        for split in SPLIT_NAMES:
            X, y = preprocessing.preprocess_split(splits[split], size)
            np.save(folder / f"X_{split}.npy", X, allow_pickle=False)
            np.save(folder / f"y_{split}.npy", y, allow_pickle=False)

    code = [Path(module.__file__) for module in PIXEL_CODE]
    folder = store.cached("arrays", store.content_key(content_of(splits), size, *code), make)
    names = [f"{letter}_{split}" for split in SPLIT_NAMES for letter in "Xy"]
    return tuple(np.load(folder / f"{name}.npy", allow_pickle=False) for name in names)


def load_trained(train, X, y, X_validation, y_validation, **settings):
    """Load the network that a training function gives, trained once.

    A function with an argument ``checkpoint_dir`` goes on from its last whole epoch after an
    interruption.

    Parameters
    ----------
    train : callable
        `xraylib.model.train_model`, or another function of its signature.
    X, y, X_validation, y_validation : ndarray
        As `train` takes them.
    **settings
        Passed to `train`. Settings, arrays, and the code of the function's file and of the
        reference network decide which cached network is meant, with the files that
        ``train.made_of`` may name; ``verbose`` does not.

    Returns
    -------
    model : keras.Model
    history : dict of lists of float
        What `train` returns, and ``seconds``: one value, the wall-clock time of the training, of
        its last part if it was interrupted.

    Raises
    ------
    TypeError
        If images or labels are no arrays: a stream has no content to find its network by.
    ValueError
        If `train` is no function of a file, such as one that a notebook defines.

    Examples
    --------
    >>> from xraylib.model import train_model
    >>> X, y = np.zeros((8, 28, 28, 1), np.float32), np.arange(8) % 2
    >>> model, history = load_trained(train_model, X, y, X, y, epochs=1, verbose=0)
    >>> sorted(history)
    ['accuracy', 'loss', 'seconds', 'val_accuracy', 'val_loss']
    """
    from xraylib import model as reference  # here, so that lessons 1 and 2 do without TensorFlow

    if not all(isinstance(each, np.ndarray) for each in (X, y, X_validation, y_validation)):
        raise TypeError("Only a training on arrays can be cached: call the function itself.")
    source = getattr(getattr(train, "__code__", None), "co_filename", "")
    if not Path(source).is_file():
        raise ValueError(
            f"{train!r} cannot be cached: write the function into a .py file and import it."
        )

    # What makes this network and no other.
    parameters = inspect.signature(train).parameters
    keywords = {n: p.default for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY} | settings
    chosen = sorted((n, v) for n, v in keywords.items() if n not in NO_PART_OF_THE_NETWORK)
    code = Path(source), Path(reference.__file__), reference.keras.__version__
    code += getattr(train, "made_of", ())
    key = store.content_key(X, y, X_validation, y_validation, train.__name__, chosen, *code)

    # What an interrupted training leaves behind, where it is looked for the next time.
    checkpoint_dir = store.cache_path(f".{train.__name__}", f"{key}.checkpoint")
    if "checkpoint_dir" in parameters:
        settings["checkpoint_dir"] = checkpoint_dir
    if "verbose" in parameters and not store.is_interactive():
        settings.setdefault("verbose", 0)

    def make(folder):
        start = time.monotonic()
        model, history = train(X, y, X_validation, y_validation, **settings)
        seconds = time.monotonic() - start
        model.save(folder / "model.keras")
        text = json.dumps({**history, "seconds": [seconds]})
        (folder / "history.json").write_text(text)

    folder = store.cached(train.__name__, key, make)
    shutil.rmtree(checkpoint_dir, ignore_errors=True)
    model = reference.keras.saving.load_model(folder / "model.keras", safe_mode=True)
    return model, json.loads((folder / "history.json").read_text())
