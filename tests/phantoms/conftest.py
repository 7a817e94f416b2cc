"""Phantoms that several files of tests look at."""

import pytest

from xraylib import phantoms


@pytest.fixture(scope="session")
def drawn():
    """24 images of the first patients of seed 3."""
    return list(phantoms.generate(24, seed=3))
