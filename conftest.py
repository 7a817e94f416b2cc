"""Tests and notebooks run on phantoms, with a cache of their own that vanishes afterwards."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the process that starts the others: they inherit this
        config.cache_folder = tempfile.mkdtemp(prefix="xraylib-tests-")
        os.environ.update(XRAYLIB_SOURCE="phantom", XRAYLIB_CACHE=config.cache_folder)
        if config.getoption("numprocesses", 0):  # they share the cores: one thread, and no others
            os.environ.update(TF_NUM_INTRAOP_THREADS="1", OMP_NUM_THREADS="1")
            os.environ.update(LOKY_MAX_CPU_COUNT="1")
        os.environ.pop("JPY_SESSION_NAME", None)  # nobody watches a test


def pytest_collection_modifyitems(items):
    """Put the longest files first, so that no process is left alone with one at the end."""
    longest = ("test_exercises.py", "04_training.ipynb", "09_explanation.ipynb", "test_model.py")
    ranks = {name: rank for rank, name in enumerate(longest)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(longest)))


def pytest_unconfigure(config):
    shutil.rmtree(getattr(config, "cache_folder", ""), ignore_errors=True)


@pytest.fixture(scope="session")
def phantoms():
    """The default phantoms as `load_splits` gives them, made once for all tests and notebooks."""
    from xraylib.data import load_splits

    return load_splits("phantom")


@pytest.fixture
def few_phantoms(phantoms):
    """The same with twelve images a split."""
    return type(phantoms)({name: split.select(range(12)) for name, split in phantoms.items()})
