"""A folder with a folder or a zip for each split, each with NORMAL/ and PNEUMONIA/."""

import filecmp
import re
import stat
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from datasets import ClassLabel, Dataset, Features, Value
from datasets import Image as ImageFeature

from xraylib import CLASSES
from xraylib.files import store
from xraylib.sources.download import reason

FEATURES = Features(
    {
        "image": ImageFeature(),
        "label": ClassLabel(names=list(CLASSES)),
        "file_name": Value("string"),
    }
)
#: Names that the folder or zip of each split may have.
SPLIT_NAMES = {
    "train": ("train",),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}
#: A split whose folder has this file instead of class folders has no images, and that is meant so.
EMPTY = "empty.txt"
#: What Windows leaves in a folder of images.
NO_IMAGES = ("Thumbs.db", "desktop.ini")
#: An archive of images unpacks to about its own size; one of so many times that is a bomb.
MAX_EXPANSION = 20


def read_splits(root, names=tuple(SPLIT_NAMES)):
    """Read the splits of a folder; zips are unpacked into the cache once.

    Parameters
    ----------
    root : Path
    names : sequence of str
        Which splits; all three by default.

    Returns
    -------
    dict of str to datasets.Dataset
        Columns ``image``, ``label`` and ``file_name``; rows sorted by class and name. No rows where
        the folder of a split has a file `EMPTY` instead of class folders.

    Raises
    ------
    FileNotFoundError
        If the folder, a split or a class folder is missing.
    ValueError
        If a class is empty, unknown or has a folder in it, a zip is damaged or not honest, or two
        splits share a file.

    Examples
    --------
    >>> read_splits(Path("nowhere"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: nowhere: no such folder. A source is "hub", "phantom", ...
    """
    check_root(root)
    places = {name: _find_split(root, name) for name in names}
    archives = {name: path for name, path in places.items() if path.suffix == ".zip"}
    if archives:

        def make(folder):
            for name, path in archives.items():
                unpack(path, folder / name)

        digests = [(name, store.sha256(path)) for name, path in archives.items()]
        unpacked = store.cached("folder", store.content_key(digests, Path(__file__)), make)
        places |= {name: unpacked / name for name in archives}
    files = {name: _list_files(path) for name, path in places.items()}
    _check_shared(root, files)
    return {name: _as_dataset(paths) for name, paths in files.items()}


def check_root(root):
    """Raise FileNotFoundError unless a folder is there.

    Parameters
    ----------
    root : Path
    """
    if root.is_file():
        raise FileNotFoundError(
            f"{root}: is a file. Unpack it, and give the folder with train, validation and test."
        )
    if not root.is_dir():
        raise FileNotFoundError(
            f'{root}: no such folder. A source is "hub", "phantom", "pneumoniamnist", '
            '"chestmnist", "auto", a folder of images or an .npz of MedMNIST.'
        )


def read_folder(path):
    """Read one folder or zip of images; a zip is unpacked into the cache once.

    Parameters
    ----------
    path : Path
        It has ``NORMAL/`` and ``PNEUMONIA/``: a folder at its top, a zip there or further in.

    Returns
    -------
    datasets.Dataset
        Columns ``image``, ``label`` and ``file_name``; rows sorted by class and name.

    Raises
    ------
    FileNotFoundError
        If the folder or zip, or a class folder in it, is missing.
    ValueError
        If a class is empty or unknown, or a zip is damaged or not honest.

    Examples
    --------
    >>> read_folder(Path("nowhere"))
    Traceback (most recent call last):
    FileNotFoundError: nowhere: no such folder or zip. Give one with NORMAL/ and PNEUMONIA/ in it.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such folder or zip. Give one with NORMAL/ and PNEUMONIA/ in it."
        )
    folder = path
    if path.is_file():
        key = store.content_key(store.sha256(path), Path(__file__))
        folder = store.cached("folder", key, lambda empty: unpack(path, empty))
    return _as_dataset(_list_files(folder, path))


def unpack(archive, folder):
    """Unpack the images of a zip into an empty folder, as NORMAL/ and PNEUMONIA/.

    Parameters
    ----------
    archive : Path
        A zip with both class folders, at its top or further in.
    folder : Path
        Where the class folders go.

    Raises
    ------
    ValueError
        Names the archive if it is damaged, has another class or several sets, or is nothing that an
        honest program packs: a link, a name that points outside, a bomb, or a name that is there
        twice.
    FileNotFoundError
        If a class folder is missing.

    Examples
    --------
    >>> unpack(store.cache_dir() / "no.zip", store.cache_dir())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    try:
        with _damage_named(archive):
            opened = zipfile.ZipFile(archive)
        with opened:
            check_members(archive, opened.infolist())
            for path, member in _images_of(archive, opened.infolist()):
                with _damage_named(archive):
                    content = opened.read(member)
                (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
                with open(folder / path.parent.name / path.name, "xb") as file:
                    file.write(content)
    except FileExistsError as error:
        raise ValueError(
            f"{archive}: {'/'.join(Path(error.filename).parts[-2:])} is in it twice. Keep one."
        ) from None
    _list_files(folder, archive)


def _images_of(archive, members):
    """List path and member of each file in a class folder, without what lies beside those."""
    files = [
        (PurePosixPath(member.filename.replace("\\", "/")), member)  # some programs of Windows
        for member in members
        if not member.is_dir() and "__MACOSX" not in member.filename
    ]
    shown = [(path, member) for path, member in files if not path.name.startswith(".")]
    sets = {path.parent.parent for path, _ in shown if path.parent.name in CLASSES}
    if len(sets) > 1:
        places = " and ".join(sorted(f"{place}/" for place in sets))
        raise ValueError(f"{archive}: holds several sets, in {places}. Pack one.")
    return [
        (path, member)
        for path, member in shown
        if path.parent.name and not any(place.is_relative_to(path.parent) for place in sets)
    ]


@contextmanager
def _damage_named(archive):
    """Raise ValueError for whatever goes wrong when a zip is read, but that it is not there."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged files raise almost anything
        raise ValueError(
            f"{archive}: cannot be read as a zip ({reason(error)}). Fetch or pack it again."
        ) from error


def check_members(archive, members):
    """Raise an error for a zip that no honest program packs.

    Parameters
    ----------
    archive : Path
        What the error calls it; its size counts.
    members : list of zipfile.ZipInfo

    Raises
    ------
    ValueError
        If a member points out of the archive or is a link, or if the whole is a bomb.

    Examples
    --------
    >>> check_members(Path("x.zip"), [zipfile.ZipInfo("../NORMAL/1.png")])
    Traceback (most recent call last):
    ValueError: x.zip: ../NORMAL/1.png points out of the archive. Do not use it.
    """
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if parts[:1] == ("/",) or ".." in parts or re.match(r"[A-Za-z]:", member.filename):
            raise ValueError(
                f"{archive}: {member.filename} points out of the archive. Do not use it."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{archive}: {member.filename} is a link. Pack the files themselves.")
    unpacked = sum(member.file_size for member in members)  # bytes
    if unpacked > MAX_EXPANSION * max(archive.stat().st_size, 1_000_000):
        raise ValueError(f"{archive}: unpacks to {unpacked:,} bytes, a bomb. Do not use it.")


def _find_split(root, name):
    candidates = [root / f"{alias}{end}" for alias in SPLIT_NAMES[name] for end in ("", ".zip")]
    there = [path for path in candidates if path.exists()]
    if len(there) == 1:
        return there[0]
    if there:
        raise ValueError(
            f"{root}: {' and '.join(path.name for path in there)} are both there. "
            f"Keep one for {name!r}."
        )
    fix = f"Add one of: {', '.join(path.name for path in candidates)}."
    if any((root / class_name).is_dir() for class_name in CLASSES):
        fix = "This is one folder without splits: load_folder reads it."
    raise FileNotFoundError(f"{root}: the split {name!r} is missing. {fix}")


def _list_files(folder, called=None):
    """List the files of both class folders, sorted by class and name, or say what is wrong."""
    called = called or folder
    folders = [path for path in sorted(folder.glob("[!.]*")) if path.is_dir()]
    files = {
        path.name: sorted(file for file in path.glob("[!.]*") if file.name not in NO_IMAGES)
        for path in folders
    }
    if not files and (folder / EMPTY).is_file():
        return []
    _check_classes(called, {name: len(paths) for name, paths in files.items()})
    if deeper := [path for name in CLASSES for path in files[name] if path.is_dir()]:
        raise ValueError(
            f"{called}: {deeper[0].parent.name}/ has a folder, {deeper[0].name}/. Put its images "
            f"into {deeper[0].parent.name}/ itself."
        )
    return [path for name in CLASSES for path in files[name]]


def _check_classes(place, counts):
    """Raise an error unless the classes are NORMAL and PNEUMONIA, neither of them empty."""
    if unknown := sorted(set(counts) - set(CLASSES)):
        fix = "Only NORMAL/ and PNEUMONIA/ belong here."
        if unknown[0].upper() in CLASSES:
            fix = f"Rename it to {unknown[0].upper()}/."
        raise ValueError(f"{place}: unknown class folder {unknown[0]}/. {fix}")
    for name in CLASSES:
        if name not in counts:
            raise FileNotFoundError(
                f"{place}: the class folder {name}/ is missing. Add it, with images in it."
            )
        if not counts[name]:
            raise ValueError(f"{place}: the class folder {name}/ is empty. Put its images there.")


def _check_shared(root, files):
    """Raise ValueError if two splits hold a file of the same name and content."""
    seen = {}
    for split, paths in files.items():
        for path in paths:
            for other, other_split in seen.setdefault(path.name, []):
                if other_split != split and filecmp.cmp(path, other, shallow=False):
                    raise ValueError(
                        f"{root}: {path.name} is both in {other_split!r} and in {split!r}. "
                        "Keep it in one of them."
                    )
            seen[path.name].append((path, split))


def check_names(names):
    """Raise ValueError for a file name that is not UTF-8, which no table can hold.

    Parameters
    ----------
    names : iterable of str

    Raises
    ------
    ValueError
        Names the first such file.

    Examples
    --------
    >>> check_names(["1.png", "\\udcff.png"])
    Traceback (most recent call last):
    ValueError: '\\udcff.png': its name is not UTF-8. Rename it.
    """
    for name in names:
        if name.encode(errors="replace") != name.encode(errors="surrogatepass"):
            raise ValueError(f"{name!r}: its name is not UTF-8. Rename it.")


def _as_dataset(paths):
    check_names(map(str, paths))
    columns = {
        "image": [{"path": str(path), "bytes": None} for path in paths],
        "label": [CLASSES.index(path.parent.name) for path in paths],
        "file_name": [path.name for path in paths],
    }
    return Dataset.from_dict(columns, features=FEATURES)
