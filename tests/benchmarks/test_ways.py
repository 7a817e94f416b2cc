"""`preprocess_split` beside the ways that people use, in one run, as far as they are installed."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
from benchmarks.test_speed import medians, reference, split_of
from PIL import Image

from xraylib.preprocessing import preprocess_split


def in_threads(one):
    """A way from a function of one path: in two threads."""

    def way(files):
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(one, files))

    return way


def reference_loop(files):
    return [reference(path) for path in files]


split_of_tuple = functools.cache(split_of)  # a data set is made before the clock runs


def ours(files):
    return preprocess_split(split_of_tuple(files))[0]


def opencv(path):
    import cv2

    reduced = cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    return cv2.resize(reduced, (28, 28), interpolation=cv2.INTER_AREA) / 255


def draft(path):
    with Image.open(path) as image:
        image.draft("L", (112, 112))
        return np.asarray(image.resize((28, 28))) / 255


def tf_data(files):
    import tensorflow as tf

    def one(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=1, ratio=4)
        return tf.image.resize(image, (28, 28), method="area") / 255

    paths = tf.data.Dataset.from_tensor_slices([str(path) for path in files])
    batches = paths.map(one, num_parallel_calls=tf.data.AUTOTUNE).batch(256)
    return np.concatenate(list(batches.as_numpy_iterator()))


def keras_directory(files):
    import keras

    batches = keras.utils.image_dataset_from_directory(
        os.path.dirname(files[0]),
        labels=None,
        color_mode="grayscale",
        image_size=(28, 28),
        interpolation="area",
        shuffle=False,
        verbose=False,
    )
    return np.concatenate(list(batches.as_numpy_iterator())) / 255


def datasets_map(files):
    mapped = split_of_tuple(files).map(
        lambda row: {"pixels": np.asarray(row["image"].resize((28, 28)).convert("L")) / 255},
        num_proc=2,
        remove_columns="image",
        load_from_cache_file=False,
    )
    return np.array(mapped["pixels"])


#: Name of the way: what must be installed, and a function from paths to (n, 28, 28) in [0, 1].
WAYS = {
    "the reference steps in a loop": ("PIL", reference_loop),
    "cv2.imread(IMREAD_REDUCED_GRAYSCALE_4), INTER_AREA, two threads": ("cv2", in_threads(opencv)),
    "preprocess_split": ("xraylib", ours),
    "Image.draft, two threads": ("PIL", in_threads(draft)),
    "tf.data, decode_jpeg(ratio=4), area": ("tensorflow", tf_data),
    "keras.utils.image_dataset_from_directory": ("keras", keras_directory),
    "datasets.map, two processes": ("datasets", datasets_map),
}


def test_ways(files, tmp_path, capsys):
    # One folder with these files alone, since Keras reads a whole folder.
    copies = tuple(tmp_path / f"{number:04}.jpg" for number in range(len(files)))
    for copy, path in zip(copies, files, strict=True):
        copy.write_bytes(path.read_bytes())
    ways = {
        name: functools.partial(way, copies)
        for name, (package, way) in WAYS.items()
        if find_spec(package)
    }
    expected = np.array(next(iter(ways.values()))())
    differences = {
        name: 255 * np.abs(np.reshape(way(), expected.shape) - expected)
        for name, way in ways.items()
    }
    seconds = medians(ways, rounds=5)
    with capsys.disabled():
        print("\n| way | images/s | times the loop | mean difference (largest) |")
        print("| --- | --- | --- | --- |")
        for name in ways:
            speed, ratio = len(files) / seconds[name], next(iter(seconds.values())) / seconds[name]
            difference = f"{differences[name].mean():.2f} ({differences[name].max():.0f})"
            print(f"| {name} | {speed:,.0f} | {ratio:.1f} | {difference} |")
