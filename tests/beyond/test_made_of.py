"""A cached network is found again only if nothing of `xraylib.beyond` has changed that made it."""

import inspect
import sys
from pathlib import Path

import pytest

from xraylib.beyond import train_better_model, train_quick_model, train_robust_model
from xraylib.model import train_model


def made_by(module, found):
    """Collect the modules of `xraylib.beyond` that a module uses, and those that they use."""
    if module not in found:
        found.add(module)
        for value in vars(module).values():
            used = value if inspect.ismodule(value) else inspect.getmodule(value)
            if used is not None and used.__name__.startswith("xraylib.beyond."):
                made_by(used, found)
    return found


@pytest.mark.parametrize(
    "train", [train_model, train_quick_model, train_better_model, train_robust_model]
)
def test_the_cache_of_a_network_follows_what_of_beyond_trains_it(train):
    own = sys.modules[train.__module__]
    followed = {Path(own.__file__), *getattr(train, "made_of", ())}
    assert {Path(module.__file__) for module in made_by(own, set())} <= followed
