"""Numbers in prose are numbers that were measured; one changed digit is noticed."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from check_numbers import PAGES, blocks, claims, outputs_of, problems_of, settings_of, unmatched
from lessons import LESSONS, prose


def stem(path):
    return path.stem


@pytest.fixture
def page(tmp_path):
    """A function that writes a notebook with an output, a setting and the given prose."""

    def write(markdown):
        output = {
            "output_type": "stream",
            "name": "stdout",
            "text": ["accuracy 0.9749, 12 errors in 480\n"],
        }
        common = {"metadata": {}, "id": "a"}
        cells = [
            {"cell_type": "code", "source": ["rate = 0.001"], "outputs": [output], **common},
            {"cell_type": "markdown", "source": [markdown], **common},
        ]
        path = tmp_path / "page.ipynb"
        path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
        return path

    return write


@pytest.fixture
def results(tmp_path):
    """Three files of results: times, predictions, another notebook is the page itself."""
    times = {"what": ["one file", "many"], "ours": [0.21, 3.2]}
    pd.DataFrame(times).to_csv(tmp_path / "times.csv", index=False)
    predicted = {"split": ["test"] * 4 + ["train"], "label": [0, 1, 1, 1, 0]}
    predicted |= {"quick_0": [0.1, 0.9, 0.8, 0.2, 0.9], "quick_1": [0.1, 0.9, 0.8, 0.7, np.nan]}
    pd.DataFrame(predicted).to_csv(tmp_path / "seeds.csv.gz", index=False)


@pytest.mark.parametrize("path", PAGES, ids=stem)
def test_every_number_in_prose_was_measured(path):
    assert problems_of(path) == []


def test_a_changed_digit_in_a_lesson_is_noticed():
    noticed = {path.stem: changes_noticed(path) for path in LESSONS}
    for lesson, each in noticed.items():
        assert sum(each) >= 0.75 * len(each), lesson  # by chance it may be another of the outputs
    assert sum(map(len, noticed.values())) > 300  # some lessons have no such number


def changes_noticed(path):
    """Change each number in a lesson's prose that an output gives; tell which are noticed."""
    known = outputs_of(path) | settings_of(path)
    numbers = [
        (claim["number"], text)
        for text, marks in blocks(prose(path))
        if not marks and not unmatched(text, known, path.parent)
        for claim, _ in claims(text)
        if re.search(r"[1-9]", claim["number"])
        and len(re.sub(r"^0\.|\D", "", claim["number"])) >= 3
    ]
    copies = [text.replace(number, changed(number)) for number, text in numbers]
    return [bool(unmatched(copy, known, path.parent)) for copy in copies]


def changed(number):
    """Return a number with another first digit."""
    place = re.search(r"[1-9]", number).start()
    return f"{number[:place]}{(int(number[place]) + 4) % 10}{number[place + 1 :]}"


@pytest.mark.parametrize(
    "text",
    [
        "97.49% are correct, about 97.5% or 97%, or 0.975",
        "an error of 2.5 points <!-- computed: 100 - 97.5 --> from 97.5%",
        "a learning rate of 0.001",
        "12 of the 480 images (2.5%) are errors",
        "`x = 0.5`, [a link](0.55.md), doi:10.1016/j.cell.2018.02.010",
        "Keras 3.15, Python 3.11 to 3.13",
        "```\n0.123\n```",
        "a 95% confidence interval",
        "12 errors, 3,633 images, 28×28",
        "others found 0.83 <!-- literature -->",
        "others found 83% and we 0.975 <!-- literature: 83% -->",
        "at a prevalence of 5% <!-- definition -->",
        "0.2 s <!-- source: times.csv ours 'one file' -->",
        "at most 3.2 s <!-- source: times.csv ours max -->",
        "0.75 and 1.00 <!-- source: seeds.csv.gz quick_* accuracy test -->",
        "on average 0.833 <!-- source: seeds.csv.gz quick_* sensitivity test -->",
        "60% <!-- source: seeds.csv.gz quick_0 accuracy all -->",
        "0.975 <!-- source: page.ipynb -->",
        "0.92 <!-- computed: 11/12 --> is 11 of 12",
        "ln 2 is 0.693 <!-- computed: log(2) -->",
        "| a | b |\n| - | - |\n| 0.83 | 83% |\n<!-- literature -->",
        "| a | b |\n| - | - |\n| 0.83 <!-- literature --> | 83% |\n| 0.975 | 97.5% |",
    ],
)
def test_numbers_that_have_a_source_pass(page, results, text):
    assert problems_of(page(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "97.4% are correct",
        "0.965",
        "−0.975",
        "from 96.5 to 97.5%",
        "a learning rate of 0.002",
        "12 of the 480 images (2.6%) are errors",
        "13 of the 480 images (2.7%) are errors",
        "a 90% interval",
        "0.83\n\n<!-- literature -->",
        "others found 83% and we 0.965 <!-- literature: 83% -->",
        "- 0.83\n- 0.84 <!-- literature -->",
        "0.3 s <!-- source: times.csv ours 'one file' -->",
        "0.2 s <!-- source: times.csv theirs 'one file' -->",
        "0.2 s <!-- source: times.csv ours 'no such row' -->",
        "0.2 s <!-- source: no_such.csv ours mean -->",
        "0.85 <!-- source: seeds.csv.gz quick_* accuracy test -->",
        "0.975 <!-- source: page.ipynb no-such-cell -->",
        "0.85 <!-- computed: 11/12 --> is 11 of 12",
        "0.92 <!-- computed: 11/12 -->",
        "0.92 <!-- computed: open('page.ipynb') -->",
        "0.92 <!-- computed: (1).real -->",
        "| a | b |\n| - | - |\n| 0.83 <!-- literature --> | 83% |\n| 0.965 | 97.5% |",
        "<details><summary>Answer</summary>\n\n0.965\n\n</details>",
    ],
)
def test_numbers_without_a_source_are_noticed(page, results, text):
    assert problems_of(page(text)) != []
