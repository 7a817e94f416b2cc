"""Tests and notebooks run on phantoms, with kept files of their own that vanish afterwards."""

import os
import shutil
import tempfile


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the one process that starts the others hands its environment on
        config.kept_files = tempfile.mkdtemp(prefix="xraylib-tests-")
        os.environ.update(XRAYLIB_SOURCE="phantom", XRAYLIB_CACHE=config.kept_files)
        os.environ.pop("JPY_SESSION_NAME", None)  # nobody watches a test


def pytest_unconfigure(config):
    shutil.rmtree(getattr(config, "kept_files", ""), ignore_errors=True)
