"""The built-in phantoms as a source: drawn once into an ordinary folder of images."""

from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from xraylib import CLASSES, phantoms
from xraylib.files import store
from xraylib.sources.catalogue import SOURCES


def prepare(sizes=None, seed=0):
    """Draw phantoms into the cache, unless they are there already.

    Which image is in which split is drawn at random over images, as in the reference data set.

    Parameters
    ----------
    sizes : dict of str to int, optional
        Number of images in each split; by default 840, 240 and 120.
    seed : int
        Chooses the patients.

    Returns
    -------
    Path
        A folder with ``NORMAL/`` and ``PNEUMONIA/`` for each split: JPEG files of 640×640 pixels.

    Raises
    ------
    ValueError
        If a split has so few that a class is missing.

    Examples
    --------
    >>> folder = prepare({"test": 4})
    >>> len(list(folder.glob("test/*/*.jpg")))
    4
    """
    sizes = sizes or SOURCES["phantom"].sizes
    total = sum(sizes.values())
    split_of = np.repeat(list(sizes), list(sizes.values()))
    split_of = split_of[np.argsort(np.random.default_rng(seed).permutation(total))]

    def make(folder):
        for split in sizes:
            for class_name in CLASSES:
                (folder / split / class_name).mkdir(parents=True)
        drawn = phantoms.jpeg_files(phantoms.patients_and_images(total, seed), seed)
        bar = tqdm(drawn, "drawing phantoms", total, disable=not store.is_interactive())
        for split, (name, label, content) in zip(split_of, bar, strict=True):
            (folder / split / CLASSES[label] / name).write_bytes(content)
        for place in folder.glob("*/*"):
            if not any(place.iterdir()):
                split, class_name = place.parts[-2:]
                raise ValueError(f"{split}: too few phantoms, none is {class_name}. Ask for more.")

    code = sorted(Path(phantoms.__file__).parent.glob("*.py"))
    return store.cached("phantom", store.content_key(*code, list(sizes.items()), seed), make)
