"""A training that can be interrupted: batches that follow from the number of their step, and a
state after each epoch.

Keras's BackupAndRestore would lose the history and raise on a half-written state, and the order of
the images would begin anew; here an interrupted training ends with the weights of one that was not.
"""

import io
import json

import numpy as np

from xraylib.files.store import atomic_write, is_interactive
from xraylib.quiet import keras, tf

STATE = "last-epoch.npz"


def shuffled_rows(n, batch_size, steps, seed):
    """Shuffle the images of each epoch in an order that follows from seed and epoch alone.

    Parameters
    ----------
    n : int
        Number of images.
    batch_size, steps : int
        Images in a batch and batches in an epoch.
    seed : int

    Returns
    -------
    callable
        From the number of a step, counted from the beginning of the training, to the rows of its
        batch: (batch_size,) int32 at most.

    Examples
    --------
    >>> rows = shuffled_rows(4, 2, 2, seed=0)
    >>> sorted([*rows(0).numpy().tolist(), *rows(1).numpy().tolist()])
    [0, 1, 2, 3]
    """

    def rows(step):
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=[seed, step // steps])
        return order[(step % steps) * batch_size :][:batch_size]

    return rows


def fit_resumable(model, batch_of, *, steps, epochs, checkpoint_dir=None, **options):
    """Train a compiled model, or go on with a training that was interrupted.

    Parameters
    ----------
    model : keras.Model
        Compiled and built.
    batch_of : callable
        From the number of a step (int32 tensor) to its batch ``(X, y)``.
    steps, epochs : int
        Batches in an epoch, and epochs in all.
    checkpoint_dir : Path, optional
        Where the state after each whole epoch is left and taken up from. A damaged state, or one
        of another network, begins again, with a printed word.
    **options
        For `keras.Model.fit`, ``validation_data`` among them.

    Returns
    -------
    dict of lists of float
        The history, one value an epoch, of all epochs.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> one = np.ones((4, 1), np.float32)
    >>> history = fit_resumable(
    ...     model, lambda step: (one, one), steps=3, epochs=2, validation_data=(one, one)
    ... )
    >>> len(history["val_loss"])
    2
    """
    _build_variables(model, *options["validation_data"])
    variables = [*model.weights, *model.optimizer.variables]
    history = _restore(variables, checkpoint_dir)
    done = len(history.get("loss", []))

    def save(_, logs):
        for name, value in logs.items():
            history.setdefault(name, []).append(float(value))
        if checkpoint_dir is not None:
            file = io.BytesIO()
            values = {f"{number:04}": v.value.numpy() for number, v in enumerate(variables)}
            np.savez(file, history=np.array(json.dumps(history)), **values)
            atomic_write(checkpoint_dir / STATE, file.getvalue())

    if done < epochs:
        numbers = tf.data.Dataset.range(done * steps, epochs * steps, output_type=tf.int32)
        # TensorFlow's tuner of pipelines may sleep through the end of a training and have it wait.
        without_tuner = tf.data.Options()
        without_tuner.autotune.enabled = False
        model.fit(
            numbers.map(batch_of).prefetch(2).with_options(without_tuner),
            initial_epoch=done,
            epochs=epochs,
            steps_per_epoch=steps,
            shuffle=False,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=save)],
            verbose="auto" if is_interactive() else 0,
            **options,
        )
    return history


def _build_variables(model, X, y):
    """Make the variables of optimiser and metrics now; Keras would trace the first step twice."""
    model.optimizer.build(model.trainable_variables)
    one = tuple(x[:1] for x in X) if isinstance(X, tuple) else X[:1]
    model.compute_metrics(one, y[:1], model(one))
    model.reset_metrics()


def _restore(variables, checkpoint_dir):
    """Set the variables to the state of the last whole epoch; return its history."""
    if checkpoint_dir is None or not (checkpoint_dir / STATE).exists():
        return {}
    try:
        # Opened here, since NumPy leaves a damaged file open.
        with (
            open(checkpoint_dir / STATE, "rb") as file,
            np.load(file, allow_pickle=False) as state,
        ):
            history = json.loads(str(state["history"]))
            values = [state[f"{number:04}"] for number in range(len(variables))]
        for variable, value in zip(variables, values, strict=True):
            if value.shape != tuple(variable.shape) or value.dtype != np.dtype(variable.dtype):
                raise ValueError("it is of another network")
    except Exception as error:  # damaged files raise almost anything
        print(f"The state in {checkpoint_dir} cannot be used ({error}): training begins again.")
        return {}
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return history
