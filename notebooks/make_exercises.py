"""Write the exercises from their solutions: ``python notebooks/make_exercises.py``.

``exercises/NN_name_exercises.ipynb`` is ``solutions/NN_name_solutions.ipynb`` without outputs, and

- the first cell (a Markdown cell with the title) says what to do, with links to lesson and solutions;
- a code cell tagged ``solution`` has the code of its metadata ``blank`` instead;
- cells tagged ``answer`` are left out;
- all others stay as they are: tasks with their hints, what is loaded, cells tagged ``check``.

A second run changes nothing, and a sheet whose solutions are gone is removed.
"""

import json
import re
from pathlib import Path

from xraylib.files.store import atomic_write

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
REMINDER = "# Write your code here"
INTRODUCTION = """{title}

Exercises for [this lesson](../{lesson}). Run the cells from the top, put your code in place of each `...`, and run the check below it: it says what is wrong, or "Correct." Hints are folded. The [solutions](../solutions/{solutions}) answer in words as well; try first."""


def main():
    """Write all exercises and say which files changed."""
    sheets = {
        sheet_of(path): exercises_of(path)
        for path in sorted((FOLDER / "solutions").glob("[0-9]*_solutions.ipynb"))
    }
    for path in sorted((FOLDER / "exercises").glob("[0-9]*_exercises.ipynb")):
        if path not in sheets:
            path.unlink()
            print(f"removed {path.relative_to(FOLDER)}")
    for path, text in sheets.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            atomic_write(path, text.encode())
            print(f"wrote {path.relative_to(FOLDER)}")


def sheet_of(path):
    """Return the path of the exercises that belong to a file of solutions."""
    return FOLDER / "exercises" / path.name.replace("_solutions", "_exercises")


def exercises_of(path):
    """Return the exercises that belong to a file of solutions, as the text of a notebook."""
    first, *cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    introduction = INTRODUCTION.format(
        title=_title_of(first),
        lesson=path.name.replace("_solutions", ""),
        solutions=path.name,
    )
    cells = [_blanked(cell) for cell in cells if "answer" not in tags_of(cell)]
    notebook = {
        "cells": [_cell("markdown", first["id"], introduction), *cells],
        "metadata": METADATA,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def tags_of(cell):
    """Return the tags of a cell."""
    return cell["metadata"].get("tags", [])


def _title_of(cell):
    """Return the title of the solutions, with the word exercises in it."""
    title = "".join(cell["source"]).partition("\n")[0]
    title = title.replace("Solutions", "Exercises").replace("solutions", "exercises")
    return title if "xercises" in title else f"{title}: exercises"


def _blanked(cell):
    """Return a cell without outputs; one that is tagged ``solution`` with its blank as the code."""
    source = "".join(cell["source"])
    if "solution" not in tags_of(cell):
        # a link to other solutions starts in another folder now
        source = re.sub(r"\]\((?=\d\d_\w+_solutions)", "](../solutions/", source)
        return _cell(cell["cell_type"], cell["id"], source)
    blank = "".join(cell["metadata"]["blank"])
    if REMINDER.lower() not in blank.lower():
        blank = f"{REMINDER}\n{blank}"
    return _cell("code", cell["id"], blank)


def _cell(cell_type, cell_id, source):
    """Return a cell of a notebook, not executed."""
    cell = {"cell_type": cell_type, "id": cell_id, "metadata": {}}
    if cell_type == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": source.splitlines(keepends=True)}


if __name__ == "__main__":
    main()
