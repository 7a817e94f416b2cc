"""Draw, preprocess, train and cache, and say each phase, so that a killer knows when to strike.

``announced.py {arrays,network} WEIGHTS``
"""

import sys

import numpy as np

from xraylib import cached, data
from xraylib.sources import phantom

what, weights = sys.argv[1:]


def announced(phase, function):
    def call(*args, **kwargs):
        print(phase, flush=True)
        return function(*args, **kwargs)

    return call


if what == "network":
    from xraylib.beyond import train_better_model, training
    from xraylib.quiet import keras

    keras.Model.save = announced("saving a network", keras.Model.save)
    training.atomic_write = announced("training", training.atomic_write)
print("ready", flush=True)
np.save = announced("saving arrays", np.save)
preprocessing = cached.preprocessing
preprocessing.preprocess_split = announced("preprocessing", preprocessing.preprocess_split)
phantoms = phantom.phantoms
phantoms.patients_and_images = announced("drawing", phantoms.patients_and_images)
splits = data.load_phantoms({"train": 40, "validation": 20, "test": 20})
arrays = cached.load_arrays(splits)
if what == "network":
    network, _ = cached.load_trained(train_better_model, *arrays[:4], epochs=8)
    np.savez(weights, *network.get_weights())
print("done", flush=True)
