"""The groups that the long study holds out."""

import numpy as np
import pytest

from xraylib.beyond import study
from xraylib.data import patient_of


@pytest.fixture(scope="module")
def groups(phantoms):
    return {name: study.hold_out(phantoms, name) for name in study.GROUPS}


def test_no_patient_is_on_both_sides(groups):
    for parts in groups.values():
        patients = {
            name: {patient_of(file) for file in split["file_name"]} for name, split in parts.items()
        }
        assert not patients["test"] & (patients["train"] | patients["validation"])


def test_each_class_gives_a_quarter(groups, phantoms):
    labels = np.array([*phantoms["train"]["label"], *phantoms["validation"]["label"]])
    for parts in groups.values():
        assert abs(np.mean(parts["test"]["label"]) - labels.mean()) < 0.05
        assert 0.24 * len(labels) < len(parts["test"]) < 0.3 * len(labels)


def test_the_test_images_stay_out(groups, phantoms):
    names = {n for parts in groups.values() for split in parts.values() for n in split["file_name"]}
    assert not names & set(phantoms["test"]["file_name"])


def test_the_darkest_are_dark(groups):
    def brightness(split):
        images = split.select(range(0, len(split), 3))["image"]
        return np.mean([np.asarray(image.resize((9, 9))).mean() for image in images])

    assert brightness(groups["darkest"]["test"]) < brightness(groups["darkest"]["train"]) - 5


def test_every_training_is_asked_for_once(phantoms):
    keys = [(t.study, t.setting, t.seed) for t in study.trainings(phantoms)]
    assert len(keys) == len(set(keys))
