"""TensorFlow and Keras without their start-up lines: ``keras``, ``layers``, ``ops`` and ``tf``."""

import os
from contextlib import contextmanager


@contextmanager
def _quiet_start():
    """Keep the C++ start-up lines ("Could not find cuda drivers …") out of notebooks."""
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what is an error, Python raises
with _quiet_start():
    import keras
    import tensorflow as tf
    from keras import layers, ops

    tf.get_logger().setLevel("ERROR")  # several short trainings in one notebook are no mistake
    tf.config.list_logical_devices()  # looks for devices now, and says what it does not find

__all__ = ["keras", "layers", "ops", "tf"]
