"""The quick training: the reference network, standardized and folded back."""

import numpy as np

from xraylib.beyond import train_quick_model
from xraylib.evaluation import cross_entropy
from xraylib.model import build_model, predict_proba


def test_it_is_the_reference_network(toy_images):
    model, _ = train_quick_model(*toy_images, epochs=1)
    assert model.name == build_model().name
    assert model.count_params() == build_model().count_params()


def test_the_standardization_is_folded_into_the_first_layer(toy_images):
    model, history = train_quick_model(*toy_images, epochs=3)
    p = predict_proba(model, toy_images[2])
    assert np.isclose(cross_entropy(toy_images[3], p), history["val_loss"][-1], rtol=1e-4)


def test_it_learns_in_few_epochs(toy_images):
    X, y, *_ = toy_images
    model, _ = train_quick_model(*toy_images, epochs=12)
    assert np.mean((predict_proba(model, X) >= 0.5) == y) > 0.9


def test_a_seed_fixes_it(toy_images):
    first, again, other = (
        train_quick_model(*toy_images, epochs=1, seed=seed)[1] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
