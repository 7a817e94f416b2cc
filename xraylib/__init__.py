"""Chest radiographs to NORMAL or PNEUMONIA with a small convolutional network: the library under the notebooks.

The modules stand in one line, and each knows only those before it: ``phantom`` and ``data`` (where images come
from), ``preprocessing`` (one image to one array), ``model`` (the network), ``evaluation`` (what it is worth),
``plotting`` (what it looks like). ``store`` keeps what one notebook makes and a later one needs. Only ``model``
imports TensorFlow. For teaching, not for diagnosis.
"""
