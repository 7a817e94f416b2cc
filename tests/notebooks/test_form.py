"""The form of a lesson: short cells, figures that fit, aims and a quiz, files that stay small."""

import re
import struct
from base64 import b64decode

import pytest
from lessons import LESSONS, SOLUTIONS, code, prose, read

BYTES = 1_500_000
WIDTH = 900  # pixels of a JupyterLab column
LINES = 8


def stem(path):
    return path.stem


def lines(cell):
    """Return the lines of a cell that are code."""
    return [line for line in cell["source"].splitlines() if line.strip()[:1] not in ("", "#")]


def width(output):
    """Return how wide a figure is shown, in pixels."""
    stored = output["metadata"].get("image/png", {}).get("width")
    png = b64decode("".join(output["data"]["image/png"])[:32])
    return stored or struct.unpack(">I", png[16:20])[0]


@pytest.mark.parametrize("path", [*LESSONS, *SOLUTIONS], ids=stem)
def test_no_notebook_is_large(path):
    assert path.stat().st_size <= BYTES


@pytest.mark.parametrize("path", [*LESSONS, *SOLUTIONS], ids=stem)
def test_figures_fit_into_the_column(path):
    outputs = [output for cell in code(path) for output in cell["outputs"]]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert [width(figure) for figure in figures if width(figure) > WIDTH] == []


@pytest.mark.parametrize("path", LESSONS, ids=stem)
def test_code_cells_are_short(path):
    cells = [
        cell for cell in code(path) if not any(tag.startswith("same-as") for tag in cell["tags"])
    ]
    assert [(cell["id"], len(lines(cell))) for cell in cells if len(lines(cell)) > LINES] == []


@pytest.mark.parametrize("path", LESSONS, ids=stem)
def test_every_output_is_read_in_the_next_cell(path):
    cells = read(path)
    pairs = [*zip(cells, cells[1:], strict=False), (cells[-1], {"cell_type": "code"})]
    unread = [a["id"] for a, b in pairs if a.get("outputs") and b["cell_type"] == "code"]
    assert unread == []


@pytest.mark.parametrize("path", LESSONS, ids=stem)
def test_a_lesson_says_what_for_what_before_and_how_long(path):
    start = "\n".join(cell["source"] for cell in read(path)[:3])
    assert len(re.findall(r"^[-*] ", start, re.MULTILINE)) >= 3  # the aims
    assert re.search(r"prerequisite|before this", start, re.IGNORECASE)
    assert re.search(r"\bminutes?\b", start)
    assert re.search(r"\btrain", start, re.IGNORECASE)


@pytest.mark.parametrize("path", LESSONS, ids=stem)
def test_a_lesson_ends_with_what_was_seen_and_a_quiz(path):
    end = "\n".join(cell["source"] for cell in read(path)[-4:] if cell["cell_type"] == "markdown")
    assert "What you saw" in prose(path)
    assert re.search(r"\bquiz\b", prose(path), re.IGNORECASE)
    assert end.count("<details>") >= 3
    assert f"exercises/{path.stem}_exercises.ipynb" in prose(path)


@pytest.mark.parametrize("path", LESSONS, ids=stem)
def test_a_lesson_asks_before_it_answers(path):
    text = prose(path)
    assert "Predict before you run" in text
    assert text.count("<details>") == text.count("</details>")
