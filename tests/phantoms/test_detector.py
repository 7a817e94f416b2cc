"""The detector: what it sees of an attenuation."""

import numpy as np
import pytest

from xraylib.phantoms.detector import signal
from xraylib.phantoms.fields import GRID


@pytest.fixture
def attenuation():
    """That of 0 to 10 cm of water."""
    path = np.linspace(0, 10, GRID, dtype=np.float32)
    return np.broadcast_to(0.206 * path, (GRID, GRID)).astype(np.float32)


def test_signal_without_scatter_is_the_attenuation(attenuation):
    assert np.abs(signal(attenuation) - attenuation).max() < 0.01


def test_scatter_lightens_shadows(attenuation):
    assert (signal(attenuation, scatter=0.3) < signal(attenuation)).all()
