"""The radiographs: the same three splits from any source, and the patients in them."""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from datasets import DatasetDict, concatenate_datasets
from datasets import Image as ImageFeature

from xraylib import CLASSES
from xraylib.files.decoding import encoded, read_image
from xraylib.sources import hub, medmnist, phantom
from xraylib.sources.catalogue import SOURCES
from xraylib.sources.folder import SPLIT_NAMES, check_root, read_folder, read_splits

PATIENT = re.compile(r"(person|NORMAL2-IM-|IM-|phantom)(\d+)(?:_(bacteria|virus))?")


def load_splits(source=None, on_error="raise"):
    """Load the radiographs with their labels.

    Parameters
    ----------
    source : str or Path, optional
        - ``"hub"``: the reference data set, downloaded once and from then on used without a
          network; an interrupted download goes on where it stopped.
        - ``"phantom"``: built-in synthetic radiographs, drawn once.
        - ``"pneumoniamnist"``, ``"chestmnist"``: the benchmarks of MedMNIST v2 at 28×28, downloaded
          once; or the path of such an ``.npz``. PneumoniaMNIST has the children of the reference
          data set in their original split, so a network trained on the random split of ``"hub"``
          has seen images of its test set.
        - a path: a folder with ``train``, ``validation`` (or ``val``, ``valid``) and ``test``, each
          a folder or a zip with ``NORMAL/`` and ``PNEUMONIA/``.
        - ``"auto"``: the Hub if it is cached or answers within 5 seconds, otherwise phantoms.

        None takes the environment variable XRAYLIB_SOURCE, else ``"auto"``.
    on_error : {"raise", "skip"}
        With ``"skip"`` every image is decoded once, and those that cannot be read are left out; a
        notice counts and names them. With ``"raise"`` they are noticed when they are used.

    Returns
    -------
    datasets.DatasetDict
        Splits ``train``, ``validation`` and ``test`` with the columns ``image``, ``label`` (0 is
        NORMAL, 1 is PNEUMONIA) and ``file_name``, sorted by class and name. A split that an
        ``.npz`` leaves empty has no rows.

    Raises
    ------
    FileNotFoundError
        If a source, split or class folder is missing.
    ValueError
        If a class is empty, unknown or has a folder in it, a zip or ``.npz`` is damaged, or two
        splits share a file.
    ConnectionError
        If the Hub or Zenodo fails. Every error names the file and the fix.

    Examples
    --------
    >>> load_splits("phantom")["test"].num_rows
    120
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip", not {on_error!r}.')
    source = decide_source(source)
    splits = _state_source(read_splits(prepare(source)), source)
    if on_error == "skip":
        splits = DatasetDict({name: drop_unreadable(split) for name, split in splits.items()})
    return splits


def load_folder(path):
    """Load one folder of radiographs with their labels, such as another hospital's.

    Parameters
    ----------
    path : str or Path
        A folder or a zip with ``NORMAL/`` and ``PNEUMONIA/``.

    Returns
    -------
    datasets.Dataset
        With the columns of `load_splits`; `drop_unreadable` leaves out what cannot be read.

    Raises
    ------
    FileNotFoundError
        If the folder or zip, or a class folder in it, is missing.
    ValueError
        If a class is empty or unknown, or a zip is damaged. Every error names the file and the fix.

    Examples
    --------
    >>> load_folder(prepare("phantom") / "test").num_rows
    120
    """
    path = Path(path).expanduser().absolute()
    return _state_source({"all": read_folder(path)}, str(path))["all"]


def load_phantoms(sizes=None, seed=0):
    """Load phantoms in other numbers, or of other patients, than ``load_splits("phantom")``.

    Parameters
    ----------
    sizes : dict of str to int, optional
        Number of images in each split, enough that both classes occur; by default 840, 240, 120.
    seed : int
        Chooses the patients.

    Returns
    -------
    datasets.DatasetDict
        As `load_splits`, with the splits of `sizes`.

    Raises
    ------
    ValueError
        If a split has another name, no whole number of images, or so few that a class is missing.

    Examples
    --------
    >>> load_phantoms({"test": 8})["test"].num_rows
    8
    """
    names = tuple(sizes or SPLIT_NAMES)
    if unknown := sorted(set(names) - set(SPLIT_NAMES)):
        raise ValueError(f"{unknown[0]!r} is no split: they are {', '.join(SPLIT_NAMES)}.")
    for name, size in (sizes or {}).items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name}: {size} phantoms cannot be drawn. Ask for a whole number.")
    return _state_source(read_splits(phantom.prepare(sizes, seed), names), "phantom")


def _state_source(splits, source):
    """Note in each split which row of the catalogue it is, and what people call it."""
    for split in splits.values():
        split.info.dataset_name = source if source in SOURCES else "folder"
        split.info.description = SOURCES[split.info.dataset_name].title
        if split.info.dataset_name == "folder":
            kind = "file" if source.endswith((".npz", ".zip")) else "folder"
            split.info.description = f"the {kind} {Path(source).absolute().name}"
        elif source == "hub" and "HF_ENDPOINT" in os.environ:
            split.info.description += ", from a mirror (HF_ENDPOINT)"
    return DatasetDict(splits)


def prepare(source=None):
    """Prepare a source as an ordinary folder of images that can be copied or shared.

    Parameters
    ----------
    source : str or Path, optional
        As in `load_splits`.

    Returns
    -------
    Path
        The folder; `load_splits` and XRAYLIB_SOURCE take it on any machine.

    Raises
    ------
    FileNotFoundError, ValueError, ConnectionError
        As `load_splits`, for what it has to fetch or find.

    Examples
    --------
    >>> sorted(path.name for path in prepare("phantom").iterdir() if path.is_dir())
    ['test', 'train', 'validation']
    """
    source = decide_source(source)
    if source == "hub":
        return hub.prepare()
    if source in medmnist.MD5 or source.endswith(".npz"):
        return medmnist.prepare(source)
    if source == "phantom":
        return phantom.prepare()
    folder = Path(source).expanduser()
    check_root(folder)
    return folder


def decide_source(source=None):
    """Decide what ``"auto"`` means now.

    Parameters
    ----------
    source : str or Path, optional
        As in `load_splits`.

    Returns
    -------
    str
        The name of a source, such as ``"hub"`` or ``"phantom"``, or a path.

    Examples
    --------
    >>> decide_source("phantom")
    'phantom'
    """
    source = str(source or os.environ.get("XRAYLIB_SOURCE") or "auto")
    if source != "auto":
        return source
    try:
        if not hub.is_cached():
            hub.archive_files()
        return "hub"
    except ConnectionError as error:
        line = "!" * 100
        print(line, f"THESE ARE PHANTOMS, NOT PATIENTS. {error}", sep="\n")
        print("The numbers below say nothing about patients.", line, sep="\n")
        return "phantom"


def describe(splits):
    """Describe where the images come from, and what their numbers are worth.

    Parameters
    ----------
    splits : datasets.DatasetDict
        What `load_splits` returns.

    Returns
    -------
    str
        Three lines; another where the numbers of images are not those of the source, and one where
        its images may have been met before.

    Examples
    --------
    >>> print(describe(load_splits("phantom")))
    Source: phantoms, synthetic radiographs drawn by xraylib
    Images: 840 / 240 / 120 (train / validation / test)
    These are phantoms: the numbers below say nothing about patients.
    """
    info = next(iter(splits.values())).info
    source = SOURCES[info.dataset_name]
    sizes = {name: len(split) for name, split in splits.items()}
    lines = [f"Source: {info.description}", f"Images: {_sizes(sizes)} ({' / '.join(sizes)})"]
    lines += [source.caution] if source.caution else []
    if source.sizes not in (None, sizes):
        lines.append(f"The source states {_sizes(source.sizes)}: this is another set of images.")
    worth = "These are phantoms: the numbers below say nothing about patients."
    return "\n".join([*lines, worth if source.synthetic else "For teaching, not for diagnosis."])


def _sizes(sizes):
    return " / ".join(f"{size:,}" for size in sizes.values())


def is_synthetic(splits):
    """Tell whether no patient was ever seen: the splits are phantoms.

    Parameters
    ----------
    splits : datasets.DatasetDict
        What `load_splits` returns.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_synthetic(load_splits("phantom"))
    True
    """
    return SOURCES[next(iter(splits.values())).info.dataset_name].synthetic


def drop_unreadable(split):
    """Leave out the images that cannot be read; a printed notice names them.

    Parameters
    ----------
    split : datasets.Dataset

    Returns
    -------
    datasets.Dataset

    Raises
    ------
    ValueError
        If no image of a class is left.

    Examples
    --------
    >>> drop_unreadable(load_splits("phantom")["test"]).num_rows
    120
    """

    def error_of(image, name):
        try:
            read_image(encoded(image), name, 1)
        except ValueError as error:
            return str(error)

    rows = split.cast_column("image", ImageFeature(decode=False))
    errors = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in rows.iter(256):  # only so many images are in memory at once
            errors += pool.map(error_of, batch["image"], batch["file_name"])
    if bad := [error for error in errors if error]:
        print(f"Left out: {len(bad)} of {len(rows)} images that cannot be read.", *bad, sep="\n  ")
        split = split.select([row for row, error in enumerate(errors) if not error])
        left = split["label"][:]
        if lost := [name for label, name in enumerate(CLASSES) if label not in left]:
            raise ValueError(f"No image of {lost[0]} can be read: replace the files named above.")
    return split


def patient_of(file_name, with_etiology=False):
    """Read the patient from the name of a file.

    Numbers of different prefixes (``person``, ``IM-``, ``NORMAL2-IM-``, ``phantom``) cannot be
    matched and count as different patients. Whether ``person63_bacteria`` and ``person63_virus``
    are one child is not documented: by default they are, the conservative reading for a split.

    Parameters
    ----------
    file_name : str
        For example ``person63_bacteria_306_jpeg.rf.3a….jpg``.
    with_etiology : bool
        Count bacterial and viral images of one number as two patients.

    Returns
    -------
    str
        The whole name if it has none of the prefixes.

    Examples
    --------
    >>> patient_of("person63_bacteria_306.jpeg")
    'person63'
    >>> patient_of("person63_bacteria_306.jpeg", with_etiology=True)
    'person63_bacteria'
    """
    name = PurePosixPath(file_name).name
    if not (match := PATIENT.match(name)):
        return name
    prefix, number, etiology = match.groups()
    patient = f"{prefix}{int(number)}"
    return f"{patient}_{etiology}" if with_etiology and etiology else patient


def split_by_patient(splits, seed=0):
    """Divide the images again so that no patient appears in two splits.

    70/20/10 percent, stratified by class. The same images, each with a name of its own, give the
    same answer however they were split before.

    Parameters
    ----------
    splits : datasets.DatasetDict
        What `load_splits` returns.
    seed : int

    Returns
    -------
    datasets.DatasetDict
        As `load_splits`.

    Raises
    ------
    ValueError
        If no file name tells a patient (see `patient_of`), or a class has fewer than ten.

    Examples
    --------
    >>> splits = split_by_patient(load_splits("phantom"))
    >>> train = set(map(patient_of, splits["train"]["file_name"]))
    >>> train.isdisjoint(map(patient_of, splits["test"]["file_name"]))
    True
    """
    from sklearn.model_selection import StratifiedGroupKFold

    # All images in an order of their own, which does not depend on the splits they came in.
    pool = concatenate_datasets([splits[name] for name in SPLIT_NAMES])
    names = np.asarray(pool["file_name"])
    order = np.argsort(names, kind="stable")
    labels = np.asarray(pool["label"])[order]
    patients = np.asarray([patient_of(name) for name in names[order]])
    if not any(PATIENT.match(name) for name in names):
        raise ValueError(
            f"{names[0]} and the other names tell no patient (see patient_of): these images cannot "
            "be split by patient."
        )
    fewest = min(len(set(patients[labels == label])) for label in range(len(CLASSES)))
    if fewest < 10:
        raise ValueError(f"{fewest} patients of a class are too few: split by patient needs ten.")

    # Ten parts without a shared patient: seven, two and one of them.
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=seed)
    parts = [order[test] for _, test in folds.split(labels, labels, patients)]
    rows = {
        "train": np.concatenate(parts[3:]),
        "validation": np.concatenate(parts[1:3]),
        "test": parts[0],
    }
    return DatasetDict({name: pool.select(np.sort(numbers)) for name, numbers in rows.items()})


def content_of(splits):
    """Digest every byte of every image, with labels, file names and splits.

    Parameters
    ----------
    splits : datasets.DatasetDict
        What `load_splits` returns.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> len(content_of(load_splits("phantom")))
    16
    """
    digest = hashlib.sha256()
    for name in SPLIT_NAMES:
        split = splits[name].cast_column("image", ImageFeature(decode=False))
        for batch in split.iter(256):
            rows = zip(batch["image"], batch["label"], batch["file_name"], strict=True)
            for image, label, file_name in rows:
                content = encoded(image)
                if not isinstance(content, bytes):
                    content = Path(content).read_bytes()
                digest.update(f"{name} {label} {file_name} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()[:16]
