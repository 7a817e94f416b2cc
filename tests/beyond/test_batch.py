"""Many files to one table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xraylib.beyond import predict_files
from xraylib.model import build_model, predict_proba
from xraylib.preprocessing import preprocess_image


@pytest.fixture(scope="module")
def model():
    return build_model()


@pytest.fixture
def files(tmp_path):
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (50, 40), np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{5 - number}.png")
    return tmp_path


def test_a_folder_gives_a_table_in_order_of_names(model, files):
    table = predict_files(model, files)
    assert [Path(file).name for file in table["file"]] == [f"{number}.png" for number in range(6)]


def test_each_file_gets_the_answer_that_it_gets_alone(model, files):
    table = predict_files(model, files)
    alone = [predict_proba(model, preprocess_image(file)[None])[0] for file in table["file"]]
    assert np.allclose(table["probability"], alone, atol=1e-6)


def test_a_list_of_files_keeps_its_order(model, files):
    names = [str(files / f"{number}.png") for number in (3, 0, 5)]
    assert predict_files(model, names)["file"].tolist() == names


def test_files_that_cannot_be_read_are_all_named(model, files):
    (files / "2.png").write_bytes(b"")
    (files / "4.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"(?s)2 images cannot be read.*2\.png.*4\.png"):
        predict_files(model, files)


def test_a_missing_file_is_named(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: nothing to predict"):
        predict_files(model, [tmp_path / "nowhere"])


def test_a_folder_that_is_missing_or_empty_is_named(model, tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        with pytest.raises(FileNotFoundError, match=f"{name}: nothing to predict"):
            predict_files(model, tmp_path / name)


def test_no_file_is_an_error(model):
    with pytest.raises(FileNotFoundError, match="no file is given"):
        predict_files(model, [])


def test_one_file_is_a_table_of_one_row(model, files):
    assert predict_files(model, files / "3.png")["file"].tolist() == [str(files / "3.png")]
