"""MedMNIST v2's radiographs: one file of arrays, unpacked once into an ordinary folder of images.

The files are read without the package ``medmnist``, which would bring PyTorch.
"""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from xraylib import CLASSES
from xraylib.files import store
from xraylib.sources.download import download, reason
from xraylib.sources.folder import EMPTY, check_members

#: Where Zenodo has the files of MedMNIST v2 (doi:10.5281/zenodo.10519652), and their checksums as
#: the package ``medmnist`` states them.
URL = "https://zenodo.org/records/10519652/files/{}.npz?download=1"
MD5 = {
    "pneumoniamnist": "28209eda62fecd6e6a2d98b1501bb15f",
    "chestmnist": "02c8a6516a18b556561a56cbdd36c4a8",
}
#: What MedMNIST calls the splits.
PARTS = {"train": "train", "validation": "val", "test": "test"}
#: The number of columns of the labels tells the data set, and which of them is pneumonia.
LAYOUTS = {1: ("pneumoniamnist", 0), 14: ("chestmnist", 6)}


def prepare(source):
    """Return the folder of a file of MedMNIST, downloaded and unpacked first if need be.

    Of ChestMNIST only the images with pneumonia (other findings beside it allowed) and those
    without a finding are taken: some 62,000 files, which take half a minute once and a few seconds
    whenever they are loaded. A split without images becomes a folder with a note that says so.

    Parameters
    ----------
    source : str
        ``"pneumoniamnist"`` or ``"chestmnist"``, or the path of an ``.npz`` of the same layout.

    Returns
    -------
    Path
        It has ``train/NORMAL/``, ``train/PNEUMONIA/``, and so on in ``validation`` and ``test``:
        PNG files of 28×28 pixels, named after data set, split and row, since there is no patient to
        name.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is damaged, or its arrays are not those of the two data sets. It names file and fix.
    ConnectionError
        Zenodo or the network fails. See `download`.
    OSError
        Nothing can be written, for example because the disk is full.

    Examples
    --------
    >>> prepare("nowhere.npz")
    Traceback (most recent call last):
    FileNotFoundError: nowhere.npz: no such file. Give the path of an .npz of MedMNIST.
    """
    path = Path(source).expanduser()
    if source in MD5:
        path = store.cache_dir() / "downloads" / f"{source}.npz"
        download(URL.format(source), path, md5=MD5[source])
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Give the path of an .npz of MedMNIST.")
    key = store.content_key(Path(__file__), store.sha256(path))
    return store.cached("medmnist", key, lambda folder: unpack(path, folder))


def unpack(path, folder):
    """Write the images of a file of MedMNIST into an empty folder, as PNG files.

    Parameters
    ----------
    path : Path
        An ``.npz`` with ``{train,val,test}_images``, (n, 28, 28) uint8 in 0 … 255, and
        ``…_labels``, integers 0 or 1 of shape (n, 1) (1 is PNEUMONIA) or (n, 14) (column 6 is
        PNEUMONIA, all 0 is NORMAL).
    folder : Path
        Where the folders of the splits go.

    Raises
    ------
    ValueError
        The file is damaged, or the arrays are others than these. It names file and fix.

    Examples
    --------
    >>> unpack(store.cache_dir() / "no.npz", store.cache_dir())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...no.npz: cannot be read as arrays (...). Download it anew from https://zenodo...
    """
    arrays = _read(path)
    name, column = LAYOUTS[arrays["train_labels"].shape[1]]
    for split, part in PARTS.items():
        images = arrays[f"{part}_images"]  # (n, 28, 28)
        labels = arrays[f"{part}_labels"]  # (n, 1) or (n, 14)
        (folder / split).mkdir()
        if not len(images):
            (folder / split / EMPTY).write_text("The source has no images of this split.\n")
            continue
        # Other findings without pneumonia belong to neither class.
        chosen = {"NORMAL": ~labels.any(axis=1), "PNEUMONIA": labels[:, column] == 1}
        for class_name in CLASSES:
            if not chosen[class_name].any():
                raise ValueError(
                    f"{path}: {part}_labels has no {class_name}. A split needs images of both "
                    f"classes, or none at all: add some, or take all images of {part} out."
                )
            (folder / split / class_name).mkdir()
            rows = np.flatnonzero(chosen[class_name])
            for row in tqdm(rows, f"{part} {class_name}", disable=not store.is_interactive()):
                file = folder / split / class_name / f"{name}_{part}_{row:05}.png"
                Image.fromarray(images[row]).save(file)


def _read(path):
    """Return the arrays of a file by name, or raise ValueError for what MedMNIST does not have."""
    try:
        with zipfile.ZipFile(path) as opened, np.load(path, allow_pickle=False) as file:
            check_members(path, opened.infolist())
            arrays = {key: file[key] for part in PARTS.values() for key in _keys(part)}
    except Exception as error:  # damaged files raise almost anything
        raise ValueError(
            f"{path}: cannot be read as arrays ({reason(error)}). Download it anew from "
            f"{URL.partition('/files')[0]}."
        ) from error

    # Which of the two data sets it is, each split has to say in the same way.
    shapes = [arrays[f"{part}_labels"].shape for part in PARTS.values()]
    columns = {shape[1:] for shape in shapes}
    if columns not in [{(n,)} for n in LAYOUTS]:
        raise ValueError(
            f"{path}: the labels have the shapes {', '.join(map(str, shapes))}. Needed is (n, 1) "
            f"in every split, as in PneumoniaMNIST, or (n, 14), as in ChestMNIST."
        )
    for part in PARTS.values():
        images, labels = (arrays[key] for key in _keys(part))
        if images.dtype != np.uint8 or images.shape != (len(labels), 28, 28):
            raise ValueError(
                f"{path}: {part}_images is {images.dtype} of shape {images.shape}. Needed is uint8 "
                f"of shape ({len(labels)}, 28, 28), an image for each row of {part}_labels."
            )
        if labels.dtype.kind not in "iu" or not np.isin(labels, (0, 1)).all():
            raise ValueError(
                f"{path}: {part}_labels ({labels.dtype}) must hold integers, 0 or 1. Take the "
                f"labels as MedMNIST publishes them."
            )
    return arrays


def _keys(part):
    return f"{part}_images", f"{part}_labels"
