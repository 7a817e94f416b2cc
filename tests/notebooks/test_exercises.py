"""Each exercise accepts its solution and rejects the blank and wrong answers, on phantoms."""

import contextlib
import io
import json
from functools import cache

import matplotlib.pyplot as plt
import pytest
from lessons import FOLDER, SOLUTIONS, read
from make_exercises import exercises_of, sheet_of


def exercises(path):
    """List the cells of each exercise: those from its first solution to its check.

    Returns a list of (set-up, solutions, check): what runs before, all that the reader fills in
    with whatever lies between, and the check.
    """
    found, before, body = [], [], []
    for cell in (cell for cell in read(path) if cell["cell_type"] == "code"):
        if "check" in cell["tags"]:
            found.append((before, body, cell))
            before, body = [], []
        elif "solution" in cell["tags"] or body:
            body.append(cell)
        else:
            before.append(cell)
    return found


def run(cells, namespace):
    """Execute cells and return what they print."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in cells:
            exec(compile(source, "<cell>", "exec"), namespace)
    plt.close("all")
    return printed.getvalue()


@cache
def namespaces(path):
    """The names before each exercise of a sheet, all earlier ones solved."""
    namespace, before_each = {"__name__": "__main__"}, []
    for before, body, check in exercises(path):
        run([cell["source"] for cell in before], namespace)
        before_each.append(namespace.copy())
        run([cell["source"] for cell in [*body, check]], namespace)
    return before_each


def answers(path):
    """Yield (number of the exercise, name, sources) of each wrong answer, the blank included."""
    for number, (_, body, _) in enumerate(exercises(path)):
        for place, cell in enumerate(body):
            if "solution" in cell["tags"]:
                sources = [other["source"] for other in body]
                wrong = [cell["metadata"].get("blank", "..."), *cell["metadata"].get("wrong", [])]
                for which, answer in enumerate(wrong):
                    sources = [*sources[:place], "".join(answer), *sources[place + 1 :]]
                    name = f"wrong{which}" if which else "blank"
                    yield pytest.param(path, number, sources, id=f"{path.stem}-{number + 1}-{name}")


def with_ids(pairs):
    return [pytest.param(*pair, id=f"{pair[0].stem}-{pair[1] + 1}") for pair in pairs]


@pytest.fixture(autouse=True)
def in_the_folder_of_solutions(monkeypatch):
    monkeypatch.chdir(FOLDER / "solutions")
    monkeypatch.setattr("IPython.display.display", lambda *args, **kwargs: None)
    plt.switch_backend("agg")


@pytest.fixture
def written(tmp_path):
    """The cells of an exercise made from a small file of solutions."""

    def cell(cell_type, source, number, *tags, **metadata):
        metadata |= {"tags": [*tags]}
        return {"cell_type": cell_type, "id": f"{number}", "metadata": metadata, "source": [source]}

    cells = [
        cell("markdown", "# Solutions: toys\n\nThey answer.", 0),
        cell("code", "import math", 1),
        cell("markdown", "## 1. Warm-up\n\nSee [others](02_x_solutions.ipynb).", 2),
        cell("code", "x = 3", 3, "solution", blank="x = ...", wrong=["x = 2"]),
        cell("code", "assert x == 3, 'x is not 3'\nprint('Correct.')", 4, "check"),
        cell("markdown", "It is three.", 5, "answer"),
    ]
    path = tmp_path / "01_toys_solutions.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    return json.loads(exercises_of(path))["cells"]


def test_an_exercise_has_the_blank_instead_of_the_solution(written):
    assert "".join(written[3]["source"]) == "# Write your code here\nx = ..."
    assert written[3]["metadata"] == {}


def test_an_exercise_has_the_task_and_the_check_but_not_the_answer(written):
    assert [cell["id"] for cell in written] == ["0", "1", "2", "3", "4"]


def test_an_exercise_was_never_run(written):
    code = [cell for cell in written if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_an_exercise_begins_with_a_title_and_links_to_lesson_and_solutions(written):
    start = "".join(written[0]["source"])
    assert start.startswith("# Exercises: toys\n")
    assert "](../01_toys.ipynb)" in start
    assert "](../solutions/01_toys_solutions.ipynb)" in start


def test_links_between_solutions_are_turned_to_their_folder(written):
    assert "](../solutions/02_x_solutions.ipynb)" in "".join(written[2]["source"])


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_exercises_are_in_step_with_their_solutions(path):
    assert sheet_of(path).exists(), "run: python notebooks/make_exercises.py"
    sheet = sheet_of(path).read_text(encoding="utf-8")
    assert sheet == exercises_of(path), "run: python notebooks/make_exercises.py"


def test_there_are_no_exercises_without_solutions():
    sheets = {sheet_of(path).name for path in SOLUTIONS}
    assert {path.name for path in (FOLDER / "exercises").glob("[0-9]*_exercises.ipynb")} <= sheets


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_exercises_give_no_answer_away(path):
    solved = {cell["source"] for cell in read(path) if {"solution", "answer"} & {*cell["tags"]}}
    assert solved
    assert not solved & {cell["source"] for cell in read(sheet_of(path))}


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_each_sheet_has_tasks_with_two_hints_and_wrong_answers(path):
    assert len(exercises(path)) >= 2
    tasks = [cell for cell in read(path) if cell["cell_type"] == "markdown"]
    assert sum(cell["source"].count("<details>") for cell in tasks) >= 2 * len(exercises(path))
    for _, body, _ in exercises(path):
        wrong = [answer for cell in body for answer in cell["metadata"].get("wrong", [])]
        assert wrong


@pytest.mark.parametrize(
    ("path", "number"),
    with_ids((path, number) for path in SOLUTIONS for number in range(len(exercises(path)))),
)
def test_the_solution_is_accepted(path, number):
    _, body, check = exercises(path)[number]
    namespace = namespaces(path)[number].copy()
    printed = run([cell["source"] for cell in [*body, check]], namespace)
    assert "Correct." in printed


@pytest.mark.parametrize(
    ("path", "number", "sources"), [answer for path in SOLUTIONS for answer in answers(path)]
)
def test_another_answer_is_rejected_with_a_word_on_what_is_wrong(path, number, sources):
    namespace = namespaces(path)[number].copy()
    run(sources, namespace)
    with pytest.raises(AssertionError, match=r"\w+ \w+"):
        run([exercises(path)[number][2]["source"]], namespace)
