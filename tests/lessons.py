"""The notebooks as the tests of the lessons read them."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
LESSONS = sorted(FOLDER.glob("[0-9]*.ipynb"))
SOLUTIONS = sorted(FOLDER.glob("solutions/[0-9]*.ipynb"))


def read(path):
    """Return the cells of a notebook, the source of each as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        cell["source"] = "".join(cell["source"])
        cell["tags"] = cell["metadata"].get("tags", [])
    return cells


def code(path):
    """Return the code cells of a notebook."""
    return [cell for cell in read(path) if cell["cell_type"] == "code"]


def prose(path):
    """Return the Markdown of a notebook, or of a Markdown file, as one text."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell["source"] for cell in read(path) if cell["cell_type"] == "markdown")


def texts(output):
    """Return what an output says in words: printed text, tables, alternative texts."""
    data = output.get("data", {})
    parts = [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
    return ["".join(part) for part in parts if part]
