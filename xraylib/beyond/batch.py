"""Many image files to one table of probabilities."""

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from datasets import Dataset

from xraylib.beyond.robust import knows_unfamiliar, unfamiliarity
from xraylib.model import predict_proba
from xraylib.preprocessing import preprocess_batches
from xraylib.sources.folder import FEATURES, check_names


def predict_files(model, files):
    """Predict the probability of PNEUMONIA for many image files, decoded in parallel.

    Parameters
    ----------
    model : keras.Model
        What `xraylib.model.train_model`, or a training function of `xraylib.beyond`, returns.
    files : str, Path, or sequence of them
        A folder, of which all files count whose name does not begin with a dot, or a file, or
        paths of files.

    Returns
    -------
    pandas.DataFrame
        Columns ``file`` (str) and ``probability`` (float32 in [0, 1]), in the order of `files`;
        with a network from `train_robust_model` also ``unfamiliar`` (bool), whether the image is
        so unlike the training images that the answer is to be refused.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    ValueError
        Lists every file that cannot be read.

    Examples
    --------
    >>> from xraylib.data import prepare
    >>> from xraylib.model import build_model
    >>> len(predict_files(build_model(), prepare("phantom") / "test"))
    120
    """
    if isinstance(files, str | Path):
        inside = [path for path in sorted(Path(files).rglob("[!.]*")) if path.is_file()]
        files = inside or [files]
    names = [str(path) for path in files]
    missing = [name for name in names if not Path(name).is_file()]
    if missing or not names:
        what = missing[0] if missing else "no file is given"
        raise FileNotFoundError(
            f"{what}: nothing to predict. Give a folder of image files or their paths."
        )
    check_names(names)
    columns = {
        "image": [{"path": name, "bytes": None} for name in names],
        "label": [0] * len(names),  # not known, and not used
        "file_name": names,
    }
    rows = Dataset.from_dict(columns, features=FEATURES)
    batches = preprocess_batches(rows, model.input_shape[1])
    probabilities = []
    distances = []
    # Decoding and predicting take turns: at once, they take the cores from each other.
    while decoded := [gray for gray, _ in islice(batches, 32)]:
        probabilities += [predict_proba(model, gray / np.float32(255)) for gray in decoded]
        if knows_unfamiliar(model):
            distances.append(unfamiliarity(model, np.concatenate(decoded) / np.float32(255)))
    table = pd.DataFrame({"file": names, "probability": np.concatenate(probabilities)})
    return table.assign(unfamiliar=np.concatenate(distances) > 1) if distances else table
