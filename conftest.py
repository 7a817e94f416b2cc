"""Tests and notebooks run on phantoms, with kept files of their own that vanish afterwards."""

import os
import shutil
import tempfile

import pytest


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the one process that starts the others hands its environment on
        config.kept_files = tempfile.mkdtemp(prefix="xraylib-tests-")
        os.environ.update(XRAYLIB_SOURCE="phantom", XRAYLIB_CACHE=config.kept_files)
        if config.getoption("numprocesses", 0):  # several processes share the cores: one thread each, or they crowd
            os.environ.update(TF_NUM_INTRAOP_THREADS="1", OMP_NUM_THREADS="1")
        os.environ.pop("JPY_SESSION_NAME", None)  # nobody watches a test


def pytest_collection_modifyitems(items):
    """The longest files first: then neither process waits for what the other makes, or at the end for the other."""
    longest = ("08_better_network.ipynb", "07_trust.ipynb", "test_training.py", "test_better.py")
    items.sort(key=lambda item: longest.index(item.path.name) if item.path.name in longest else len(longest))


def pytest_unconfigure(config):
    shutil.rmtree(getattr(config, "kept_files", ""), ignore_errors=True)


@pytest.fixture(scope="session")
def phantoms():
    """The default phantoms as `load_splits` gives them, made once for all tests and notebooks."""
    from xraylib.data import load_splits

    return load_splits("phantom")


@pytest.fixture
def few_phantoms(phantoms):
    """The same with twelve images a split."""
    return type(phantoms)({name: split.select(range(12)) for name, split in phantoms.items()})
