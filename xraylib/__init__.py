"""Chest radiographs to NORMAL or PNEUMONIA with a small convolutional network.

Five short rooms in one line, each of which knows only those before it:

- ``data``: the three splits from any source, and the patients in them;
- ``preprocessing``: one image to one array, a split to X and y;
- ``model``: the reference network in plain Keras: build, train, predict;
- ``evaluation``: what predictions are worth;
- ``plotting``: what it looks like.

Under them lie ``sources`` (one file for each place where images come from), ``phantoms``
(synthetic radiographs), ``files`` (decoding, and the cache) and ``quiet`` (TensorFlow without its
start-up lines). ``cached`` makes arrays and trained networks once for all notebooks. ``beyond``
holds what goes past the reference system; nobody needs it to follow lessons 1 to 6. ``data``,
``preprocessing``, ``evaluation`` and ``plotting`` do not import TensorFlow. For teaching, not for
diagnosis.
"""

#: The two classes in the order of their labels: 0 is NORMAL, 1 is PNEUMONIA.
CLASSES = ("NORMAL", "PNEUMONIA")
