"""The long study: the groups that it holds out, and its files."""

import numpy as np
import pandas as pd
import pytest

from xraylib.beyond import study
from xraylib.data import patient_of


@pytest.fixture(scope="module")
def development(phantoms):
    return {name: phantoms[name] for name in ("train", "validation")} | {
        "test": phantoms["test"].select([])
    }


@pytest.fixture(scope="module")
def rows(development):
    """Images, labels and file names of training and validation, sorted by name."""
    return study._pool(development)


@pytest.fixture(scope="module", params=study.GROUPS)
def part(request, development):
    return study.hold_out(development, request.param)


def test_no_patient_is_in_two_parts(part, rows):
    patients = np.array([patient_of(name) for name in rows[2]])
    parts = [set(patients[part == name]) for name in ("train", "validation", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_each_class_gives_a_quarter_to_the_group(part, rows):
    y = rows[1]
    group = part == "test"
    assert abs(y[group].mean() - y.mean()) < 0.05
    assert 0.24 * len(y) < group.sum() < 0.3 * len(y)


def test_the_darkest_are_dark(development, rows):
    part = study.hold_out(development, "darkest")
    brightness = rows[0].mean((1, 2, 3))
    assert brightness[part == "test"].mean() < brightness[part == "train"].mean() - 0.02


def test_as_many_images_of_each_class_train_in_every_group(development, rows):
    y = rows[1]
    part = study._thin_out(study.hold_out(development, "darkest"), y, [50, 150])
    assert np.bincount(y[part == "train"]).tolist() == [50, 150]


@pytest.mark.parametrize("divide", [study._split_at_random, study._split_by_patient])
def test_splits_have_the_usual_proportions(phantoms, divide):
    _, y, names = study._pool(phantoms)
    part = divide(phantoms, names, y, 0)
    sizes = [np.mean(part == name) for name in ("train", "validation", "test")]
    assert np.allclose(sizes, (0.7, 0.2, 0.1), atol=0.02)


@pytest.fixture
def results(tmp_path, monkeypatch, few_phantoms):
    """A folder for the results of a small study, which counts how often it measures."""
    calls = []

    def small(splits):
        for name in ("first_0", "second_0"):
            yield name, lambda name=name: (calls.append(name) or np.linspace(0, 1, 36), None)

    monkeypatch.setattr(study, "RESULTS", tmp_path)
    monkeypatch.setattr(study, "STUDIES", {"small": small})
    monkeypatch.setattr(study.data, "load_splits", lambda: few_phantoms)
    study.main([])
    return tmp_path / "small.csv.gz", calls


def test_a_study_has_a_row_an_image_sorted_by_name(results):
    table = pd.read_csv(results[0])
    columns = ["file_name", "patient", "etiology", "label", "split", "first_0", "second_0"]
    assert list(table.columns) == columns
    assert len(table) == 36
    assert table["file_name"].is_monotonic_increasing


def test_what_is_measured_is_not_measured_again(results):
    before = results[0].read_bytes()
    study.main(["small"])
    assert results[1] == ["first_0", "second_0"]
    assert results[0].read_bytes() == before


def test_a_missing_column_is_measured_alone(results):
    table = pd.read_csv(results[0])
    table.drop(columns="first_0").to_csv(results[0], index=False)
    study.main(["small"])
    assert results[1] == ["first_0", "second_0", "first_0"]
    again = pd.read_csv(results[0])
    assert again["first_0"].tolist() == table["first_0"].tolist()


def test_a_study_that_there_is_not_ends_with_the_names_of_those_there_are():
    with pytest.raises(SystemExit, match="'nonsense' is no study: they are seeds, leakage"):
        study.main(["nonsense"])
