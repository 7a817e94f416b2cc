"""The library beside the plain way, in one run: ``make bench``. Nothing here asserts a speed."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image
from pydicom import Dataset as Dicom
from pydicom import dcmread, uid
from pydicom.dataset import FileMetaDataset

from xraylib import cached, phantoms, preprocessing
from xraylib.beyond import predict_files
from xraylib.model import build_model, predict_proba
from xraylib.sources.folder import FEATURES

BOTH = pytest.mark.parametrize("way", ["plain", "ours"])


def reference(path):
    return np.array(Image.open(path).resize((28, 28)).convert("L")) / 255


def split_of(paths):
    columns = {
        "image": [{"path": str(path), "bytes": None} for path in paths],
        "label": [i % 2 for i in range(len(paths))],
        "file_name": [path.name for path in paths],
    }
    return Dataset.from_dict(columns, features=FEATURES)


def medians(ways, rounds):
    """The median seconds of each way: in every round, all run one after the other."""
    seconds = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            start = time.perf_counter()
            call()
            seconds[way].append(time.perf_counter() - start)
    return {way: float(np.median(times)) for way, times in seconds.items()}


@BOTH
@pytest.mark.benchmark(group="images to arrays")
def test_images_to_arrays(benchmark, files, way):
    split = split_of(files)

    def plain():
        return np.expand_dims(np.array([reference(path) for path in files]), -1)

    def ours():
        return preprocessing.preprocess_split(split)[0]

    X = benchmark.pedantic({"plain": plain, "ours": ours}[way], rounds=7, warmup_rounds=1)
    difference = 255 * np.abs(X - plain())
    assert difference.mean() < 0.5
    assert difference.max() <= 4


def write_png(image, path):
    image.resize((1024, 1024)).save(path)


def write_native(image, path):
    image.resize((1500, 1200)).save(path, quality=90)


def write_dicom(image, path):
    """A file of 12 bits, as a detector writes them."""
    values = np.asarray(image.resize((1024, 1024)), np.uint16) * 16
    dataset = Dicom()
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = uid.generate_uid()
    dataset.set_pixel_data(values, "MONOCHROME2", bits_stored=12)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def reference_dicom(path):
    values = dcmread(path).pixel_array
    return np.array(Image.fromarray((values >> 4).astype(np.uint8)).resize((28, 28))) / 255


@pytest.mark.parametrize(
    ("suffix", "write", "plain"),
    [
        pytest.param("png", write_png, reference, id="PNG, 1024x1024"),
        pytest.param("jpg", write_native, reference, id="JPEG, 1500x1200"),
        pytest.param("dcm", write_dicom, reference_dicom, id="DICOM, 1024x1024, 12 bits"),
    ],
)
def test_other_files(request, note, files, tmp_path, suffix, write, plain):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(60)]
    for path, source in zip(paths, files, strict=False):
        write(Image.open(source).convert("L"), path)
    split = split_of(paths)
    ways = {
        "plain": lambda: [plain(path) for path in paths],
        "ours": lambda: preprocessing.preprocess_split(split),
    }
    seconds = medians(ways, rounds=5)
    times = [f"{1000 * seconds[way]:,.1f} ms" for way in ("plain", "ours")]
    what = f"60 files to arrays: {request.node.callspec.id}"
    note(what, *times, seconds["plain"] / seconds["ours"])


@BOTH
@pytest.mark.benchmark(group="the same arrays a second time")
def test_arrays_again(benchmark, files, way):
    half = len(files) // 2
    splits = DatasetDict(
        train=split_of(files[:half]), validation=split_of(files[half:]), test=split_of(files[half:])
    )
    cached.load_arrays(splits)

    def plain():
        return [reference(path) for path in [*files, *files[half:]]]

    benchmark.pedantic({"plain": plain, "ours": lambda: cached.load_arrays(splits)}[way], rounds=5)


@BOTH
@pytest.mark.benchmark(group="200 phantoms to files (plain: one after the other)")
def test_phantoms(benchmark, way):
    pairs = phantoms.patients_and_images(200)
    call = {
        "plain": lambda: [phantoms._jpeg_file(*pair, 0, 90) for pair in pairs],
        "ours": lambda: list(phantoms.jpeg_files(pairs)),
    }
    benchmark.pedantic(call[way], rounds=3, warmup_rounds=1)


@BOTH
@pytest.mark.benchmark(group="one file to one probability")
def test_one_file(benchmark, files, way):
    model = build_model()

    def plain():
        return model.predict(reference(files[0])[None, :, :, None], verbose=0)

    def ours():
        return predict_proba(model, preprocessing.preprocess_image(files[0])[None])

    benchmark.pedantic(
        {"plain": plain, "ours": ours}[way], rounds=50 if way == "plain" else 500, warmup_rounds=20
    )


@BOTH
@pytest.mark.benchmark(group="5,000 files to probabilities (plain: decoding alone)")
def test_a_folder(benchmark, files, way):
    model, many = build_model(), (files * 5000)[:5000]
    split = split_of(many)

    def decoding():
        return sum(len(y) for _, y in preprocessing.preprocess_batches(split, batch_size=256))

    call = {"plain": decoding, "ours": lambda: predict_files(model, many)}[way]
    benchmark.pedantic(call, rounds=3, warmup_rounds=1)


@BOTH
@pytest.mark.benchmark(group="importing data, preprocessing, plotting (plain: what they need)")
def test_imports(benchmark, way):
    needs = "datasets, filelock, httpx2, joblib, matplotlib.pyplot, numpy, PIL.Image, "
    needs += "pyarrow, scipy.ndimage, seaborn, simplejpeg, tqdm.auto"
    code = (
        f"import {needs}" if way == "plain" else "from xraylib import data, preprocessing, plotting"
    )
    command = [sys.executable, "-c", code]
    benchmark.pedantic(lambda: subprocess.run(command, check=True), rounds=7, warmup_rounds=1)


PEAK = """if True:
    import json, sys, time
    from datasets import Dataset
    from test_speed import Peak
    from xraylib import preprocessing
    from xraylib.sources.folder import FEATURES
    count, paths = int(sys.argv[1]), json.load(sys.stdin)
    paths = (paths * count)[:count]
    images = [{"path": path, "bytes": None} for path in paths]
    columns = {"image": images, "label": [0] * count, "file_name": paths}
    split = Dataset.from_dict(columns, features=FEATURES)
    preprocessing.preprocess_split(split.select(range(300)))
    start = time.monotonic()
    with Peak() as peak:
        X, y = preprocessing.preprocess_split(split)
    print(time.monotonic() - start, peak.grown, (X.nbytes + y.nbytes) / 2**20)
"""


class Peak:
    """How far the resident memory of this process rises meanwhile.

    `grown` is in MiB, from samples every millisecond.
    """

    def __enter__(self):
        self.process, self.over = psutil.Process(), threading.Event()
        self.start = self.highest = self.process.memory_info().rss
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.over.wait(0.001):
            self.highest = max(self.highest, self.process.memory_info().rss)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.grown = (self.highest - self.start) / 2**20


@pytest.mark.parametrize("count", [1000, 2000, 4000, 8000, 16_000])
def test_time_and_memory_grow_with_the_arrays(files, note, count):
    command = [sys.executable, "-c", PEAK, str(count)]
    paths = json.dumps([str(path) for path in files])
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        command, input=paths, capture_output=True, text=True, check=True, env=here
    )
    seconds, grown, arrays = map(float, done.stdout.split())
    what = f"{count:,} images: arrays and growth of the peak memory, after the first 300"
    note(
        f"{what} ({count / seconds:,.0f} images/s)",
        f"{arrays:.0f} MiB",
        f"{grown:.0f} MiB",
        grown / arrays,
    )


@pytest.mark.parametrize("count", [2000, 16_000])
def test_a_stream_keeps_memory_flat(files, note, count):
    stream = split_of((files * count)[:count]).to_iterable_dataset()
    start = time.monotonic()
    with Peak() as peak:
        arrays = sum(gray.nbytes for gray, _ in preprocessing.preprocess_batches(stream)) / 2**20
    what = f"a stream of {count:,} images: arrays, thrown away, and growth of the peak memory"
    what += f" ({count / (time.monotonic() - start):,.0f} images/s)"
    note(what, f"{arrays:.0f} MiB", f"{peak.grown:.0f} MiB", peak.grown / arrays)
