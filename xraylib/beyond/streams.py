"""More images than memory: a stream that is decoded anew in every epoch."""

import warnings
from itertools import count

import numpy as np
from datasets import IterableDataset

from xraylib.preprocessing import preprocess_batches
from xraylib.quiet import tf


def as_tf_dataset(stream, batch_size=32, size=28):
    """Make of a stream what `xraylib.model.train_model` takes instead of arrays.

    A plain generator would be used up after the first epoch.

    Parameters
    ----------
    stream : datasets.IterableDataset
        With the columns of `xraylib.data.load_splits`. If it shuffles, it does so in another order
        in every epoch.
    batch_size : int
    size : int
        Side of the images in pixels.

    Returns
    -------
    tf.data.Dataset
        Of batches ``(X, y)``: X (n, size, size, 1) float32 in [0, 1], y (n,) int64. A few batches
        are read ahead.

    Raises
    ------
    TypeError
        If `stream` is no stream.

    Examples
    --------
    >>> from xraylib.data import load_splits
    >>> stream = load_splits("phantom")["test"].to_iterable_dataset()
    >>> sum(len(y) for X, y in as_tf_dataset(stream))
    120
    """
    if not isinstance(stream, IterableDataset):
        raise TypeError(
            f"A stream is needed, not a {type(stream).__name__}: split.to_iterable_dataset()."
        )
    # Keras cannot know how long a stream is, and warns when its first epoch ends.
    warnings.filterwarnings("ignore", message="Your input ran out of data")
    epochs = count()

    def one_epoch():
        stream.set_epoch(next(epochs))
        for gray, y in preprocess_batches(stream, size, batch_size):
            yield gray.astype(np.float32) / np.float32(255), y

    shapes = (
        tf.TensorSpec((None, size, size, 1), tf.float32),
        tf.TensorSpec((None,), tf.int64),
    )
    return tf.data.Dataset.from_generator(one_epoch, output_signature=shapes).prefetch(2)
