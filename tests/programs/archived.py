"""Predict an archive in small parts on a local cluster, and say when a part is written.

``archived.py MODEL FILES OUT [SCHEDULER]``
"""

import sys

from distributed import Client

from xraylib.beyond import archive
from xraylib.files.store import atomic_write


def write(path, data):
    atomic_write(path, data)
    print("written", flush=True)


if __name__ == "__main__":  # workers import this file
    archive.PART_SIZE = 8
    archive.atomic_write = write
    client = Client(sys.argv[4]) if sys.argv[4:] else None
    archive.predict_archive(*sys.argv[1:4], client=client)
