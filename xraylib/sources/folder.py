"""A stand-in until the real room is written: `unpack` alone."""

import zipfile


def unpack(archive, folder):
    """Unpack a zip of ``NORMAL/`` and ``PNEUMONIA/`` into a folder."""
    with zipfile.ZipFile(archive) as content:
        content.extractall(folder)
