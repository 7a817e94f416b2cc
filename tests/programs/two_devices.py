"""Train on one and on two logical devices; print the largest differences of weights and answers."""

import sys

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from xraylib.model import predict_proba, train_model  # noqa: E402 (the devices come first)

with np.load(sys.argv[1]) as file:
    arrays = [file[f"arr_{number}"] for number in range(4)]
one, _ = train_model(*arrays, epochs=2, seed=1, verbose=0)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
with strategy.scope():
    two, _ = train_model(*arrays, epochs=2, seed=1, verbose=0)
    assert len(two.layers[0].kernel.value.values) == 2  # a copy of the weights on each device
print(max(np.abs(a - b).max() for a, b in zip(one.get_weights(), two.get_weights(), strict=True)))
print(np.abs(predict_proba(one, arrays[0]) - predict_proba(two, arrays[0])).max())
