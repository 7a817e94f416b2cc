"""The report of a run, on phantoms, with stored notebooks in place of executed ones."""

import re
import sys

import nbformat
import pytest
from bs4 import BeautifulSoup
from lessons import FOLDER, SOLUTIONS

from xraylib import report

EXECUTED = [FOLDER / "04_training.ipynb", FOLDER / "05_evaluation.ipynb", SOLUTIONS[5]]


@pytest.fixture(scope="module")
def written(phantoms, tmp_path_factory):
    """The folder of a report, with the result of a network of few phantoms."""
    few = {name: split.select(range(0, len(split), 20)) for name, split in phantoms.items()}
    folder = tmp_path_factory.mktemp("report")
    executed = {path: (nbformat.read(path, as_version=4), 12.3) for path in EXECUTED}
    report.write_report(executed, type(phantoms)(few), folder)
    return folder


def page(folder, name):
    return BeautifulSoup((folder / name).read_text(encoding="utf-8"), "html.parser")


def test_the_first_page_says_the_result_in_a_sentence(written):
    answer = page(written, "index.html").find(class_="answer").text
    assert re.match(r"Of 6 test images the reference network calls \d correctly, \d+\.\d%", answer)


def test_the_first_page_says_that_these_are_phantoms(written):
    assert "These are phantoms" in page(written, "index.html").find(class_="note").text


def test_the_first_page_has_titles_and_seconds_of_the_notebooks(written):
    lines = [" ".join(line.text.split()) for line in page(written, "index.html")("li")]
    assert lines[0] == "4. Training: twenty epochs of Adam, 12 s"
    assert len(lines) == len(EXECUTED)


def test_the_first_page_shows_the_tagged_figures_with_alternative_texts(written):
    alts = [img["alt"] for img in page(written, "index.html")("img")]
    assert len(alts) == 2
    assert alts[1].startswith("Confusion matrix of the test images")


@pytest.mark.parametrize("name", ["index.html", *(f"{path.stem}.html" for path in EXECUTED)])
def test_a_page_is_whole_without_a_network(written, name):
    soup = page(written, name)
    assert not soup(["script", "link"])
    assert all(tag["src"].startswith("data:") for tag in soup(src=True))
    assert "url(" not in soup.style.text


def test_a_formula_is_mathml(written):
    soup = page(written, "05_evaluation.html")
    assert soup.math
    assert "\\frac" not in soup.main.text


def test_a_link_leads_to_the_page_of_a_notebook_of_the_run(written):
    links = {a["href"] for a in page(written, f"{EXECUTED[2].stem}.html").main("a", href=True)}
    assert "05_evaluation.html" in links


def test_a_link_to_another_file_leads_into_the_repository(written):
    links = {a["href"] for a in page(written, "05_evaluation.html").main("a", href=True)}
    files = {(written / link.partition("#")[0]).resolve() for link in links if ":" not in link}
    assert FOLDER / "glossary.md" in files
    assert FOLDER / "03_model.ipynb" in files


def test_a_widget_becomes_its_figure_and_a_line_that_says_so(written):
    text = page(written, "05_evaluation.html").main.text
    assert "In JupyterLab this figure has sliders" in text


@pytest.mark.skipif(sys.platform == "win32", reason="links need permission there")
def test_a_link_leads_to_its_page_through_a_link_to_the_checkout(tmp_path, phantoms):
    (tmp_path / "checkout").symlink_to(FOLDER)
    few = {name: split.select(range(0, len(split), 20)) for name, split in phantoms.items()}
    paths = [tmp_path / "checkout" / path.relative_to(FOLDER) for path in EXECUTED]
    executed = {path: (nbformat.read(path, as_version=4), 1.0) for path in paths}
    report.write_report(executed, type(phantoms)(few), tmp_path / "report")
    body = page(tmp_path / "report", f"{EXECUTED[2].stem}.html").main
    assert "05_evaluation.html" in {a["href"] for a in body("a", href=True)}
