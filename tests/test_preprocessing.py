"""One image to one array, and a split to arrays."""

import io

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, IterableDataset, Value
from datasets import Image as ImageFeature
from datasets.distributed import split_dataset_by_node
from PIL import Image

from xraylib import CLASSES, phantoms
from xraylib.data import load_splits
from xraylib.preprocessing import (
    check_arrays,
    preprocess_batches,
    preprocess_image,
    preprocess_split,
)

FEATURES = Features(
    {
        "image": ImageFeature(),
        "label": ClassLabel(names=list(CLASSES)),
        "file_name": Value("string"),
    }
)


@pytest.fixture(scope="module")
def radiograph():
    return Image.fromarray(phantoms.draw_phantom(3).image)


@pytest.fixture(scope="module")
def split():
    """Sixty JPEG files of phantoms."""
    files = list(phantoms.jpeg_files((patient, 0) for patient in range(60)))
    return rows_of([content for _, _, content in files], [label for _, label, _ in files])


def rows_of(contents, labels):
    columns = {
        "image": [{"bytes": content, "path": None} for content in contents],
        "label": labels,
        "file_name": [f"{number}.jpg" for number in range(len(labels))],
    }
    return Dataset.from_dict(columns, features=FEATURES)


def encoded(image, form="JPEG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def reference(image):
    return np.asarray(image.resize((28, 28)).convert("L")) / 255


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_files_come_out_as_reference(radiograph, mode, form, tmp_path):
    path = tmp_path / f"scan.{form.lower()}"
    path.write_bytes(encoded(radiograph.convert(mode), form))
    expected = reference(Image.open(path))
    for image in (path, str(path), path.read_bytes(), Image.open(path)):
        result = preprocess_image(image)
        assert result.shape == (28, 28, 1)
        assert result.dtype == np.float32
        assert 0 <= result.min() <= result.max() <= 1
        difference = 255 * np.abs(result[..., 0] - expected)
        assert difference.mean() < 0.5
        assert difference.max() <= 4


def test_arrays_and_pil_images_come_out_exactly_as_reference(radiograph):
    expected = reference(radiograph).astype(np.float32)
    assert np.array_equal(preprocess_image(radiograph)[..., 0], expected)
    assert np.array_equal(preprocess_image(np.asarray(radiograph))[..., 0], expected)
    color = np.asarray(radiograph.convert("RGB"))
    assert np.array_equal(
        preprocess_image(color)[..., 0], reference(Image.fromarray(color)).astype(np.float32)
    )


def test_a_given_image_is_left_as_it_is():
    image = Image.open(io.BytesIO(encoded(Image.new("RGB", (640, 480)))))
    preprocess_image(image)
    assert image.size == (640, 480)
    assert image.mode == "RGB"


@pytest.mark.parametrize("size", [1, 28, 96])
def test_any_size(radiograph, size):
    assert preprocess_image(radiograph, size).shape == (size, size, 1)


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.png: no such file"):
        preprocess_image(tmp_path / "nowhere.png")
    for array in (np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ValueError, match="the given ndarray: .* needed is uint8"):
            preprocess_image(array)
    with pytest.raises(TypeError, match="give a path"):
        preprocess_image(3)
    with pytest.raises(ValueError, match="size"):
        preprocess_image(np.zeros((4, 4), np.uint8), 0)


@pytest.mark.parametrize(
    "function", [preprocess_split, lambda *args: next(preprocess_batches(*args))]
)
@pytest.mark.parametrize("size", [0, -1])
def test_no_split_has_images_without_pixels(split, function, size):
    with pytest.raises(ValueError, match=f"^size must be at least 1 pixel, not {size}"):
        function(split, size)


def test_a_split_keeps_its_order(split):
    X, y = preprocess_split(split)
    assert X.shape == (len(split), 28, 28, 1)
    assert (X.dtype, y.dtype) == (np.float32, np.int64)
    assert y.tolist() == split["label"]
    for row in (0, 17, len(split) - 1):
        assert np.abs(X[row, ..., 0] - reference(split[row]["image"])).mean() < 0.5 / 255


def test_every_unreadable_image_of_a_split_is_named_after_all_were_tried(split):
    contents = [split.cast_column("image", ImageFeature(decode=False))[0]["image"]["bytes"]] * 20
    contents[3] = contents[17] = b"no image"
    with pytest.raises(ValueError) as raised:
        list(preprocess_batches(rows_of(contents, [0] * 20), batch_size=4))
    first, *listed, fix = str(raised.value).splitlines()
    assert first == "2 images cannot be read:"
    assert [line.split(":")[0] for line in listed] == ["17.jpg", "3.jpg"]
    assert 'load_splits(path, on_error="skip")' in fix


def test_batches_before_an_unreadable_image_are_yielded(split):
    contents = [split.cast_column("image", ImageFeature(decode=False))[0]["image"]["bytes"]] * 8
    batches = preprocess_batches(rows_of([*contents, b"no image"], [0] * 9), batch_size=4)
    assert [len(next(batches)[1]) for _ in range(2)] == [4, 4]
    with pytest.raises(ValueError, match="1 image cannot be read:\n8.jpg"):
        next(batches)


def test_batches_are_the_gray_levels_of_the_split(split):
    X, y = preprocess_split(split)
    batches = list(preprocess_batches(split, batch_size=25))
    assert [len(labels) for _, labels in batches] == [25, 25, 10]
    gray = np.concatenate([gray for gray, _ in batches])
    assert np.array_equal(gray / np.float32(255), X)
    assert np.concatenate([labels for _, labels in batches]).tolist() == y.tolist()


def test_a_split_is_what_its_images_are_one_by_one(split):
    X, _ = preprocess_split(split, size=40)
    undecoded = split.cast_column("image", ImageFeature(decode=False))
    alone = [preprocess_image(row["image"]["bytes"], size=40) for row in undecoded]
    assert np.array_equal(X, np.stack(alone))


def test_an_empty_split_gives_empty_arrays(split):
    X, y = preprocess_split(split.select([]))
    assert (X.shape, X.dtype) == ((0, 28, 28, 1), np.float32)
    assert (y.shape, y.dtype) == ((0,), np.int64)


class Counted:
    """A source that counts what was taken from it."""

    def __init__(self, split):
        self.split, self.taken = split, 0

    def __call__(self):
        for row in self.split:
            self.taken += 1
            yield row


def test_a_stream_is_read_a_little_ahead(split):
    source = Counted(split)
    stream = IterableDataset.from_generator(source, features=FEATURES)
    given = 0
    for gray, y in preprocess_batches(stream, batch_size=8):
        assert (gray.dtype, y.dtype) == (np.uint8, np.int64)
        given += len(y)
        assert source.taken <= given + 2 * 8
    assert given == source.taken == 60


def test_a_stream_gives_the_arrays_of_its_split_also_in_parts(split):
    split = split.select(range(20))
    X, y = preprocess_split(split)
    stream = split.to_iterable_dataset(num_shards=4)
    whole = preprocess_split(stream)
    assert np.array_equal(whole[0], X)
    assert np.array_equal(whole[1], y)
    parts = [preprocess_split(split_dataset_by_node(stream, rank, 2)) for rank in (0, 1)]
    assert [len(labels) for _, labels in parts] == [10, 10]
    assert sorted(part.tobytes() for images, _ in parts for part in images) == sorted(
        x.tobytes() for x in X
    )


def test_arrays_of_the_right_shapes_and_values_pass():
    check_arrays(np.zeros((2, 28, 28, 1)), np.zeros(2), (28, 28, 1))
    check_arrays(np.ones((2, 9, 9, 1), np.float32))
    check_arrays(np.empty((0, 28, 28, 1)))


@pytest.mark.parametrize("shape", [(28, 28, 1), (2, 28, 28), (2, 28, 28, 3), (2, 9, 9, 1)])
def test_images_of_another_shape_are_an_error(shape):
    with pytest.raises(ValueError, match=r"X must have the shape \(n, 28, 28, 1\), not"):
        check_arrays(np.zeros(shape), shape=(28, 28, 1))


def test_labels_that_are_not_one_for_each_image_are_an_error():
    with pytest.raises(ValueError, match=r"y must have the shape \(2,\) like X, not \(3,\)"):
        check_arrays(np.zeros((2, 28, 28, 1)), np.zeros(3))


@pytest.mark.parametrize("value", [255, 1.01, -0.01, np.nan, np.inf])
def test_values_outside_0_to_1_are_an_error_that_names_the_fix(value):
    X = np.full((2, 28, 28, 1), 0.5, np.float32)
    X[1, 3, 4] = value
    with pytest.raises(ValueError, match=r"X must lie in \[0, 1\]: divide .* by 255"):
        check_arrays(X)


def test_labels_other_than_0_and_1_are_refused():
    for y in ([1, 2], [0, 0.5]):
        with pytest.raises(ValueError, match="0 .NORMAL. and 1 .PNEUMONIA. only"):
            check_arrays(np.zeros((2, 28, 28, 1)), y)


def test_an_unreadable_file_is_named_with_its_folder(folder):
    (folder / "test" / "NORMAL" / "person0_virus_0.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="test.NORMAL.person0_virus_0.png: cannot be read"):
        preprocess_split(load_splits(folder)["test"])
