"""The groups that the long study holds out."""

import numpy as np

from xraylib import study
from xraylib.data import patient_of


def test_nobody_is_on_both_sides_and_each_class_gives_a_quarter(phantoms):
    groups = {name: study.held_out(phantoms, name) for name in study.GROUPS}
    labels = np.array([*phantoms["train"]["label"], *phantoms["validation"]["label"]])
    for parts in groups.values():
        patients = {name: {patient_of(file) for file in split["file_name"]} for name, split in parts.items()}
        assert not patients["test"] & (patients["train"] | patients["validation"])
        assert abs(np.mean(parts["test"]["label"]) - labels.mean()) < 0.05
        assert 0.24 * len(labels) < len(parts["test"]) < 0.3 * len(labels)
    names = {name for parts in groups.values() for split in parts.values() for name in split["file_name"]}
    assert not names & set(phantoms["test"]["file_name"])
    brightness = {
        name: np.mean(
            [np.asarray(image.resize((9, 9))).mean() for image in split.select(range(0, len(split), 3))["image"]]
        )
        for name, split in groups["darkest"].items()
    }
    assert brightness["test"] < brightness["train"] - 5
