"""Training that follows from its seed and can be interrupted: an epoch's order from its number, a fit that goes on."""

import json
import time
import zipfile

import numpy as np

from xraylib.preprocessing import preprocess_batches
from xraylib.files.store import replace, watched
from xraylib.quiet import keras, tf

STATE = "last-epoch.npz"


def shuffled(n, size, steps, seed):
    """A function from the number of a step to the rows of its batch, (size,) int32 at most, out of `n`.

    Each epoch has `steps` batches, and an order of its own that follows from `seed` and the epoch's number alone.
    """

    def rows(step):
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=[seed, step // steps])
        return order[(step % steps) * size :][:size]

    return rows


def from_steps(make, steps, epochs):
    """`batches` for `fit`: what ``make(step)`` gives for every step from the beginning of an epoch to the last."""

    def batches(epoch):
        return _ahead(tf.data.Dataset.range(epoch * steps, epochs * steps, output_type=tf.int32).map(make))

    return batches


def _ahead(dataset):
    """Two batches made in advance. TensorFlow's tuner of such pipelines stays out: at the end of a training it may
    sleep on for as long as the training took, and has `fit` wait for it."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


def from_arrays(X, y, size, steps, epochs, seed):
    """`batches` for `fit`: the images of two arrays, `size` at a time, in an order of its own in every epoch."""
    rows = shuffled(len(X), size, steps, seed)
    X, y = tf.constant(X, tf.float32), tf.constant(y, tf.int32)

    def make(step):
        chosen = rows(step)
        return tf.gather(X, chosen), tf.gather(y, chosen)

    return from_steps(make, steps, epochs)


def from_stream(stream, size):
    """`batches` for `fit`: the images of a `datasets.IterableDataset` as they come, `size` at a time, decoded anew.

    A stream that shuffles does so in another order in every epoch.
    """

    def batches(epoch):
        def one_epoch():
            stream.set_epoch(epoch)
            for gray, y in preprocess_batches(stream, batch_size=size):
                yield gray.astype(np.float32) / np.float32(255), y

        shapes = tf.TensorSpec((None, 28, 28, 1), tf.float32), tf.TensorSpec((None,), tf.int64)
        return _ahead(tf.data.Dataset.from_generator(one_epoch, output_signature=shapes))

    return batches


def fit(model, batches, *, epochs, steps=None, progress=None, **options):
    """Train a compiled and built model, or go on with a training that was interrupted.

    Parameters
    ----------
    batches : function of an epoch's number to a `tf.data.Dataset` that begins with its first batch: up to the end of
        the last epoch if `steps`, the batches of an epoch, are given, otherwise to the end of that epoch.
    epochs : int, in all.
    progress : Path of a folder, optional. The state after each whole epoch is left there, and taken up from there: the
        weights at the end are those of a training without interruption. A damaged or foreign state is not used.
    options : for `keras.Model.fit`, `validation_data` among them.

    Returns the history, a dict of lists with one float an epoch.
    """
    model.optimizer.build(model.trainable_variables)
    _build_metrics(model, *options["validation_data"])
    variables = [*model.weights, *model.optimizer.variables]
    history, before = _take_up(variables, progress)
    start = time.monotonic()

    def note(_, logs):
        for name, value in logs.items():
            history.setdefault(name, []).append(float(value))
        if progress is not None:
            values = {f"{number:04}": variable.value.numpy() for number, variable in enumerate(variables)}
            about = json.dumps({"history": history, "seconds": before + time.monotonic() - start})
            replace(progress / STATE, lambda file: np.savez(file, about=np.array(about), **values))

    options = {"shuffle": False, "verbose": "auto" if watched() else 0, **options}  # the batches are shuffled already
    done = len(next(iter(history.values()), []))
    while done < epochs:
        until = epochs if steps else done + 1
        noted = keras.callbacks.LambdaCallback(on_epoch_end=note)
        span = {"initial_epoch": done, "epochs": until, "steps_per_epoch": steps}
        model.fit(batches(done), callbacks=[noted], **span, **options)
        done = until
    return history


def _build_metrics(model, X, y):
    """Let the metrics make their variables now: those made in the first step have Keras trace it twice."""
    one = tuple(x[:1] for x in X) if isinstance(X, tuple) else X[:1]
    model.compute_metrics(one, y[:1], model(one))
    model.reset_metrics()


def seconds_of(progress):
    """How long the training took whose state lies in the folder `progress`, 0 without one."""
    return (_read(progress) or ({"seconds": 0.0}, None))[0]["seconds"]


def _take_up(variables, progress):
    """Set the variables to the state in the folder `progress`; its history and seconds, or ({}, 0) without one."""
    about, values = _read(progress) or ({}, [])
    kinds = [(tuple(variable.shape), np.dtype(variable.dtype)) for variable in variables]
    if [(value.shape, value.dtype) for value in values] != kinds:
        return {}, 0.0
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return about["history"], about["seconds"]


def _read(progress):
    """The state in the folder `progress` as (about, arrays), None if there is none that is whole."""
    if progress is None or not (progress / STATE).exists():
        return None
    try:
        with np.load(progress / STATE, allow_pickle=False) as state:
            about = json.loads(str(state["about"]))
            values = [state[f"{number:04}"] for number in range(len(state.files) - 1)]
            return {"history": dict(about["history"]), "seconds": float(about["seconds"])}, values
    except (TypeError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
