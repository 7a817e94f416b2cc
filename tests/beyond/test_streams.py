"""Streams: decoded anew in every epoch, as many batches ahead as said."""

import numpy as np
import pytest

from xraylib.beyond import as_tf_dataset
from xraylib.model import train_model
from xraylib.preprocessing import preprocess_split


def test_a_stream_holds_the_arrays_of_its_split(few_phantoms):
    stream = few_phantoms["train"].to_iterable_dataset()
    batches = list(as_tf_dataset(stream, batch_size=5).as_numpy_iterator())
    X, y = preprocess_split(few_phantoms["train"])
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    assert np.array_equal(np.concatenate([images for images, _ in batches]), X)
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), y)


def test_every_epoch_reads_the_stream_again(few_phantoms):
    stream = few_phantoms["train"].to_iterable_dataset()
    X, y = preprocess_split(few_phantoms["validation"])
    _, history = train_model(as_tf_dataset(stream, 5), None, X, y, epochs=3, verbose=0)
    assert len(history["loss"]) == 3
    assert len(set(history["loss"])) == 3


def test_a_stream_that_shuffles_has_another_order_in_every_epoch(few_phantoms):
    stream = few_phantoms["train"].to_iterable_dataset().shuffle(seed=0, buffer_size=12)
    batches = as_tf_dataset(stream, 12)
    first, second = (next(batches.as_numpy_iterator())[0] for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(np.sort(first.ravel()), np.sort(second.ravel()))


def test_a_data_set_is_no_stream(few_phantoms):
    with pytest.raises(TypeError, match="to_iterable_dataset"):
        as_tf_dataset(few_phantoms["train"])
