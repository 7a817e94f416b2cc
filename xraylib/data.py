"""Where the radiographs come from: the Hub, a folder, or the built-in phantoms; always the same three splits."""

import hashlib
import os
import re
import stat
import threading
import time
import zipfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, concatenate_datasets
from datasets import Image as ImageFeature
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
from tqdm.auto import tqdm

from xraylib import phantom
from xraylib.files import store
from xraylib.files.decoding import encoded, read_image

CLASSES = ["NORMAL", "PNEUMONIA"]
FEATURES = Features({"image": ImageFeature(), "label": ClassLabel(names=CLASSES), "file_name": Value("string")})

#: The described dataset: 5,856 radiographs of children aged one to five from Guangzhou Women and Children's Medical
#: Center (Kermany, Zhang, Goldbaum: Mendeley Data, doi:10.17632/rscbjbr9sj, CC BY 4.0), less 32 exact duplicates,
#: stretched to 640×640 and split at random over images.
HUB = "keremberke/chest-xray-classification"
ARCHIVES = {"train": "data/train.zip", "validation": "data/valid.zip", "test": "data/test.zip"}
DESCRIBED_SIZES = {"train": 4077, "validation": 1165, "test": 582}
CREDIT = "Kermany, Zhang, Goldbaum: Mendeley Data, doi:10.17632/rscbjbr9sj, CC BY 4.0"

#: Names that a folder or a zip of each split may have.
SPLIT_NAMES = {"train": ["train"], "validation": ["validation", "val", "valid"], "test": ["test"]}
PHANTOM_SIZES = {"train": 840, "validation": 240, "test": 120}
HUB_SECONDS = 5  # how long the Hub may take to answer before "auto" gives it up
STALLED = 30, 100_000  # a download is given up when in so many seconds fewer bytes than this arrive
MAX_UNPACKED = 20  # an archive of images unpacks to about its own size; to more than 20 times means a bomb

PATIENT = re.compile(r"(person|NORMAL2-IM-|IM-|phantom)(\d+)(?:_(bacteria|virus))?")


def load_splits(source=None, on_error="raise"):
    """The radiographs as a `datasets.DatasetDict` with the splits ``train``, ``validation`` and ``test``.

    Parameters
    ----------
    source : str or Path, optional
        - ``"hub"``: the described dataset, downloaded once and from then on used without a network. Each archive is
          checked against the SHA-256 that the repo states; an interrupted download goes on where it stopped.
        - ``"phantom"``: built-in synthetic radiographs (`xraylib.phantom`), made once and kept.
        - a path: a folder with ``train``, ``validation`` (or ``val``, ``valid``) and ``test``, each a folder or a
          zip with ``NORMAL/`` and ``PNEUMONIA/``.
        - ``"auto"``: the Hub if it is kept already or answers within a few seconds, otherwise the phantoms.

        None takes the environment variable XRAYLIB_SOURCE, else ``"auto"``.
    on_error : str
        With ``"skip"`` every image is decoded once, and those that cannot be read are left out of the splits; a notice
        counts and names them. With ``"raise"`` they are found when they are used.

    Returns
    -------
    DatasetDict with the columns ``image`` (`datasets.Image`), ``label`` (`ClassLabel`, NORMAL = 0, PNEUMONIA = 1) and
    ``file_name`` (str, the original name, from which `patient_of` reads the patient), sorted by class and name.

    Raises
    ------
    FileNotFoundError if a source, split or class folder is missing; ValueError if a class is empty or unknown, a zip
    is damaged or tries to leave its folder, or two splits share a file; ConnectionError if the Hub fails. Each names
    the thing and the mend.
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f'on_error must be "raise" or "skip", not {on_error!r}.')
    source = decide_source(source)
    if source == "phantom":
        return load_phantoms()
    if source == "hub":
        splits, title = _load_hub(), f"{HUB} from {_endpoint_name()}"
        sizes = {name: len(split) for name, split in splits.items()}
        if sizes != DESCRIBED_SIZES:
            print(f"Note: this copy has {_sizes(sizes)} images; described are {_sizes(DESCRIBED_SIZES)}.")
    else:
        splits, title = _load_folder(Path(source).expanduser()), f"the folder {Path(source).name}"
    for split in splits.values():
        split.info.description = title
    return DatasetDict({n: drop_unreadable(split) for n, split in splits.items()}) if on_error == "skip" else splits


def drop_unreadable(split):
    """The split without the images that cannot be read; a notice names them. Raises ValueError if none or a whole class
    is left."""

    def error(image, name):
        try:
            read_image(encoded(image), name, side=1)
        except ValueError as error:
            return str(error)

    rows = split.cast_column("image", ImageFeature(decode=False))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        batches = rows.iter(256)  # only so many images are in memory at once
        errors = [found for batch in batches for found in pool.map(error, batch["image"], batch["file_name"])]
    if bad := [message for message in errors if message]:
        print(f"Left out: {len(bad)} of {len(rows)} images that cannot be read.", *bad, sep="\n  ")
        split = split.select([number for number, message in enumerate(errors) if not message])
        _check_classes("What is left", Counter({name: split["label"].count(i) for i, name in enumerate(CLASSES)}))
    return split


def decide_source(source=None):
    """What `load_splits` would load: ``"hub"``, ``"phantom"`` or a path as str; ``"auto"`` is decided here."""
    source = str(source or os.environ.get("XRAYLIB_SOURCE") or "auto")
    if source != "auto":
        return source
    if store.is_whole(_hub_folder()):
        return "hub"
    try:
        _hub_checksums()
        return "hub"
    except ConnectionError as error:
        line = "!" * 100
        print(
            f"{line}\nTHESE ARE PHANTOMS, NOT PATIENTS. {error}\nThe numbers below say nothing about patients.\n{line}"
        )
        return "phantom"


def describe(splits):
    """Three lines on where the images come from, how many there are, and what their numbers are worth."""
    sizes = {name: len(split) for name, split in splits.items()}
    title = splits["train"].info.description
    lines = [f"Source: {title}", f"Images: {_sizes(sizes)} (train / validation / test)"]
    if is_phantom(splits):
        lines.append("These are phantoms: the numbers below say nothing about patients.")
    else:
        lines.append("For teaching, not for diagnosis.")
    return "\n".join(lines)


def is_phantom(splits):
    """True if the splits are the built-in phantoms."""
    return splits["train"].info.description.startswith("phantoms")


def patient_of(file_name, with_kind=False):
    """The patient a file name speaks of, e.g. ``person63`` for ``person63_bacteria_306_jpeg.rf.3a….jpg``.

    Numbers under different prefixes (``person``, ``IM-``, ``NORMAL2-IM-``, ``phantom``) cannot be matched and count
    as different patients. Whether ``person63_bacteria`` and ``person63_virus`` are one child is not documented: by
    default they are (the cautious reading, which keeps them in one split), with `with_kind` they are not. A name
    without such a prefix is its own patient.
    """
    match = PATIENT.match(PurePosixPath(file_name).name)
    if not match:
        return PurePosixPath(file_name).name
    kind = f"_{match[3]}" if with_kind and match[3] else ""
    return f"{match[1]}{int(match[2])}{kind}"


def split_by_patient(splits, seed=0):
    """Pool the splits and divide them again so that no patient stands in two, stratified by class: 70/20/10 %.

    The same images give the same answer however they were split before. Returns a DatasetDict like `load_splits`;
    raises ValueError if there are fewer than ten patients.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    pool = concatenate_datasets([splits[name] for name in SPLIT_NAMES])
    order = np.argsort(np.asarray(pool["file_name"]), kind="stable")
    names, labels = np.asarray(pool["file_name"])[order], np.asarray(pool["label"])[order]
    patients = np.asarray([patient_of(name) for name in names])
    if len(set(patients)) < 10:
        raise ValueError(f"{len(set(patients))} patients are too few to split by patient: ten are needed.")
    folds = StratifiedGroupKFold(10, shuffle=True, random_state=seed).split(labels, labels, patients)
    parts = [order[test] for _, test in folds]
    rows = {"train": np.concatenate(parts[3:]), "validation": np.concatenate(parts[1:3]), "test": parts[0]}
    return DatasetDict({name: pool.select(np.sort(numbers)) for name, numbers in rows.items()})


def content_of(splits):
    """The content of all images, labels and file names as 16 hexadecimal digits; every byte of every image counts."""
    digest = hashlib.sha256()
    for name in SPLIT_NAMES:
        split = splits[name].cast_column("image", ImageFeature(decode=False))
        for batch in split.iter(256):
            for image, label, file_name in zip(batch["image"], batch["label"], batch["file_name"], strict=True):
                content = _content(image)
                digest.update(f"{name} {label} {file_name} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()[:16]


# ------------------------------------------------------------------------------------------------- folders and zips


def _load_folder(root):
    if not root.is_dir():
        raise FileNotFoundError(f'{root}: no such folder. A source is "hub", "phantom", "auto" or a folder of images.')
    places = {name: _find_split(root, name) for name in SPLIT_NAMES}
    zips = [path for path in places.values() if path.suffix == ".zip"]
    kept = _keep_zips("folder", places) if zips else None
    splits = DatasetDict({n: kept[n] if path in zips else _read_folder(path) for n, path in places.items()})
    _check_shared(root, splits)
    return splits


def _check_shared(root, splits):
    """Raise ValueError if two splits hold a file of the same name and content. Only files of one name are read."""
    rows = {name: split.cast_column("image", ImageFeature(decode=False)) for name, split in splits.items()}
    seen = {}
    for name, split in rows.items():
        for number, file_name in enumerate(split["file_name"]):
            seen.setdefault(file_name, []).append((name, number))
    for file_name, places in seen.items():
        first = {}
        for name, number in places if len({name for name, _ in places}) > 1 else []:
            other = first.setdefault(_content(rows[name][number]["image"]), name)
            if other != name:
                raise ValueError(f"{root}: {file_name} is both in {other!r} and in {name!r}. Keep it in one of them.")


def _content(image):
    source = encoded(image)
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def _find_split(root, name):
    candidates = [root / f"{alias}{suffix}" for alias in SPLIT_NAMES[name] for suffix in ("", ".zip")]
    found = [path for path in candidates if path.exists()]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in candidates)
    if not found:
        raise FileNotFoundError(f"{root}: the split {name!r} is missing. Add one of: {names}.")
    raise ValueError(f"{root}: {' and '.join(path.name for path in found)} are both there. Keep one for {name!r}.")


def _check_classes(place, counts):
    """Raise unless the class folders in `counts` (name to number of files) are NORMAL and PNEUMONIA, none empty."""
    if unknown := sorted(set(counts) - set(CLASSES)):
        raise ValueError(f"{place}: unknown class folder {unknown[0]}/. Only NORMAL/ and PNEUMONIA/ may stand there.")
    for name in CLASSES:
        if name not in counts:
            raise FileNotFoundError(f"{place}: the class folder {name}/ is missing. Add it, with images in it.")
        if not counts[name]:
            raise ValueError(f"{place}: the class folder {name}/ is empty. Put its images there.")


def _read_folder(folder):
    visible = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    files = {path.name: sorted(f for f in path.iterdir() if f.is_file() and f.name[0] != ".") for path in visible}
    _check_classes(folder, {name: len(paths) for name, paths in files.items()})
    rows = [(path, label) for label, name in enumerate(CLASSES) for path in files[name]]
    columns = {
        "image": [{"path": str(path), "bytes": None} for path, _ in rows],
        "label": [label for _, label in rows],
        "file_name": [path.name for path, _ in rows],
    }
    return Dataset.from_dict(columns, features=FEATURES)


def _read_zip(path):
    """The rows of one zip, one by one. Members are read by name and never unpacked to the disk."""
    with zipfile.ZipFile(path) as archive:
        files = []
        _check_members(path, archive.infolist())
        for info in archive.infolist():
            *_, kind, file_name = "", *PurePosixPath(info.filename).parts
            if not info.is_dir() and file_name[0] != "." and "__MACOSX" not in info.filename:
                files.append((kind, file_name, info))
        _check_classes(path, Counter(kind for kind, _, _ in files))
        for kind, file_name, info in sorted(files, key=lambda row: row[:2]):
            image = {"bytes": archive.read(info), "path": file_name}
            yield {"image": image, "label": CLASSES.index(kind), "file_name": file_name}


def _check_members(path, members):
    """Raise ValueError for an archive that no honest program packs, though nothing is ever unpacked to the disk."""
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if parts[:1] == ("/",) or ".." in parts or re.match(r"[A-Za-z]:", member.filename):
            raise ValueError(f"{path}: {member.filename} points out of the archive. Do not use an archive like this.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{path}: {member.filename} is a link. Pack the files themselves.")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_UNPACKED * max(path.stat().st_size, 1_000_000):
        raise ValueError(f"{path}: unpacks to {unpacked:,} bytes, a bomb. Do not use an archive like this.")


def _keep_zips(name, places, key=None):
    zips = {split: path for split, path in places.items() if path.suffix == ".zip"}

    def make(folder):
        for split, path in zips.items():
            try:
                _write_rows(_read_zip(path), folder / f"{split}.arrow")
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                raise ValueError(f"{path}: cannot be read as a zip ({error}). Fetch or pack it again.") from error

    key = key or store.content_key(*((split, store.sha256(path)) for split, path in zips.items()))
    folder = store.keep(name, key, make)
    return {split: Dataset.from_file(str(folder / f"{split}.arrow")) for split in zips}


def _write_rows(rows, path):
    """Write rows ``{"image", "label", "file_name"}`` as an Arrow file that `Dataset.from_file` maps into memory."""
    schema = FEATURES.arrow_schema
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        batch = []
        for row in rows:
            batch.append(row)
            if len(batch) == 100:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                batch = []
        writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


# ---------------------------------------------------------------------------------------------------------- the Hub


def _endpoint_name():
    return "the Hub" if constants.ENDPOINT == "https://huggingface.co" else "a mirror of the Hub (HF_ENDPOINT)"


def _hub_folder():
    return store.place("hub", store.content_key(constants.ENDPOINT, HUB))


def _within(seconds, call, progress=None, enough=1):
    """What ``call()`` returns, or TimeoutError if `progress` (a function) does not grow by `enough` in `seconds`.

    A server may drip bytes or ask for patience for ever: the thread that waits for it is left behind.
    """
    answer = []

    def ask():
        try:
            answer.append((call(), None))
        except Exception as error:
            answer.append((None, error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    reached, deadline = 0, time.monotonic() + seconds
    while thread.is_alive():
        thread.join(min(0.25, seconds))
        now = progress() if progress else 0
        if now >= reached + enough:
            reached, deadline = now, time.monotonic() + seconds
        if thread.is_alive() and time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {seconds} s")
    value, error = answer[0]
    if error:
        raise error
    return value


def _hub_checksums():
    """The SHA-256 of each archive as the repo states it, or ConnectionError after `HUB_SECONDS`."""
    mend = 'Try again with a network, or use source="phantom" or a folder of images.'

    def ask():
        return HfApi().dataset_info(HUB, files_metadata=True, timeout=HUB_SECONDS, token=False)

    try:
        info = _within(HUB_SECONDS, ask)
    except Exception as error:  # whatever goes wrong on the way is one thing to the reader: no answer
        raise ConnectionError(f"The Hub does not give {HUB} ({_reason(error)}). {mend}") from None
    stated = {file.rfilename: file.lfs.sha256 for file in info.siblings if file.lfs}
    if missing := [path for path in ARCHIVES.values() if path not in stated]:
        raise ConnectionError(f"The Hub's {HUB} lacks {missing[0]}. {mend}")
    return {split: stated[path] for split, path in ARCHIVES.items()}


def _load_hub():
    folder = _hub_folder()
    if not store.is_whole(folder):
        (enable_progress_bars if store.watched() else disable_progress_bars)()
        archives = {name: _download(ARCHIVES[name], digest) for name, digest in _hub_checksums().items()}
        _keep_zips("hub", archives, key=folder.name.removeprefix("hub-"))
    return DatasetDict({name: Dataset.from_file(str(folder / f"{name}.arrow")) for name in ARCHIVES})


def _reason(error):
    return (f"{type(error).__name__}: {error}".splitlines() or [""])[0]


def _download(path, digest):
    mend = "Run it again: what has arrived is kept, and the download goes on from there."
    blobs = Path(constants.HF_HUB_CACHE, f"datasets--{HUB.replace('/', '--')}", "blobs")

    def arrived():
        return sum(file.stat().st_size for file in blobs.glob("*") if file.exists())

    constants.DOWNLOAD_CHUNK_SIZE = 2**18  # bytes: written, and so kept, as they come (10 MB by default)
    try:
        fetch = partial(hf_hub_download, HUB, path, repo_type="dataset", token=False)
        file = Path(_within(STALLED[0], fetch, arrived, STALLED[1]))
    except Exception as error:
        raise ConnectionError(f"The download of {path} from the Hub broke off ({_reason(error)}). {mend}") from None
    if store.sha256(file) != digest:
        file.resolve().unlink()
        file.unlink(missing_ok=True)
        mend = "It was thrown away; run it again to fetch it anew."
        raise ConnectionError(f"{path} arrived with other bytes than the Hub states (SHA-256). {mend}")
    return file


# --------------------------------------------------------------------------------------------------------- phantoms


def load_phantoms(sizes=None, seed=0):
    """Phantoms as a DatasetDict like that of `load_splits`, drawn once and kept.

    `sizes` maps each split's name to its number of images (default `PHANTOM_SIZES`); `seed` chooses the patients. Who
    stands in which split is drawn at random over images, as in the described data set.
    """
    sizes = sizes or PHANTOM_SIZES
    total = sum(sizes.values())

    def make(folder):
        drawn = phantom.files(phantom.patients_and_pictures(total, seed), seed)
        rows = [
            {"image": {"bytes": content, "path": name}, "label": label, "file_name": name}
            for name, label, content in tqdm(drawn, "drawing phantoms", total, disable=not store.watched())
        ]
        order = np.random.default_rng(seed).permutation(total)
        start = 0
        for split, size in sizes.items():
            chosen = sorted((rows[i] for i in order[start : start + size]), key=lambda r: (r["label"], r["file_name"]))
            _write_rows(chosen, folder / f"{split}.arrow")
            start += size

    key = store.content_key(Path(phantom.__file__), sorted(sizes.items()), seed)
    folder = store.keep("phantom", key, make)
    splits = DatasetDict({name: Dataset.from_file(str(folder / f"{name}.arrow")) for name in sizes})
    for split in splits.values():
        split.info.description = "phantoms (synthetic radiographs, drawn by xraylib)"
    return splits


def _sizes(sizes):
    return " / ".join(f"{sizes[name]:,}" for name in SPLIT_NAMES)
