"""Run the series from the command line: ``python -m xraylib run``, ``run-all`` or ``publish``.

``run`` executes notebooks 01 to 06 into copies with an HTML report under ``build/`` and prints the table of results;
``run-all`` does the same for every notebook, solutions included; ``publish`` executes every notebook in place on real
images and refreshes ``imgs/``: it is the one command that writes tracked files.
"""

import argparse
import base64
import html
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from xraylib import data, evaluation
from xraylib.files import store
from xraylib.files.store import replace

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
CELL_SECONDS = 3600


def main():
    parser = argparse.ArgumentParser(prog="python -m xraylib", description=__doc__.split("\n\n")[1])
    parser.add_argument("command", choices=["run", "run-all", "publish"])
    command = parser.parse_args().command
    os.environ["XRAYLIB_SOURCE"] = data.decide_source()  # once, for all notebooks
    splits = data.load_splits()
    print(data.describe(splits), flush=True)
    if command == "publish" and data.is_phantom(splits):
        sys.exit("Notebooks are published with real images: set XRAYLIB_SOURCE, or go where the Hub can be reached.")
    paths = sorted((ROOT / "notebooks").glob("0[1-6]_*.ipynb" if command == "run" else "**/[0-9]*.ipynb"))
    executed = {path: execute(path, f"[{i}/{len(paths)}]") for i, path in enumerate(paths, 1)}
    if command == "publish":
        for path, notebook in executed.items():
            replace(path, nbformat.writes(notebook).rstrip("\n") + "\n")
            for name, picture in tagged_pictures(notebook):
                replace(ROOT / "imgs" / f"{name}.png", picture)
    else:
        table = results(splits)
        report(executed, data.describe(splits), table)
        print(f"\nReport: {BUILD.relative_to(ROOT)}/index.html\n\n{data.describe(splits)}\n\n{table.to_string()}")


def execute(path, progress):
    """Execute a notebook in its own folder; return it with fresh outputs. An error ends the run and names the cell."""
    print(f"{progress} {path.relative_to(ROOT)} …", end=" ", flush=True)
    start = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    options = {
        "timeout": CELL_SECONDS,
        "kernel_name": "python3",
        "resources": {"metadata": {"path": str(path.parent)}},
        "record_timing": False,
        "extra_arguments": ["--log-level=ERROR"],
    }
    NotebookClient(notebook, **options).execute()
    notebook.metadata.get("language_info", {}).pop("version", None)  # of this machine, not of the lesson
    notebook.metadata.pop("widgets", None)
    print(f"{time.monotonic() - start:.0f} s", flush=True)
    return notebook


def results(splits):
    """The table of loss and accuracy of the described network (seed 0), beside the described figures."""
    from xraylib.model import predict_proba, train_model

    X_train, y_train, X_validation, y_validation, X_test, y_test = store.load_arrays(splits)
    model, _ = store.load_trained(train_model, X_train, y_train, X_validation, y_validation)
    pairs = {"train": (X_train, y_train), "validation": (X_validation, y_validation), "test": (X_test, y_test)}
    return evaluation.results_table({name: (y, predict_proba(model, X)) for name, (X, y) in pairs.items()})


def report(executed, source, table):
    """Write the executed notebooks, an HTML page of each, and an index with the table to the folder ``build``."""
    exporter = HTMLExporter()
    links = []
    for path, notebook in executed.items():
        name = path.stem
        BUILD.mkdir(exist_ok=True)
        replace(BUILD / path.name, nbformat.writes(notebook))
        page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": name}})
        replace(BUILD / f"{name}.html", page)
        links.append(f'<li><a href="{name}.html">{html.escape(name)}</a></li>')
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Chest radiographs: report</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}td,th{{padding:.3rem .8rem;border-bottom:1px solid #ccc;text-align:right}}</style>
<h1>Chest radiographs: NORMAL or PNEUMONIA</h1><pre>{html.escape(source)}</pre>
{table.to_html(border=0)}<ol>{"".join(links)}</ol></html>"""
    replace(BUILD / "index.html", page)


def tagged_pictures(notebook):
    """(name, PNG bytes) of each cell with a tag like ``img:confusion-matrix``."""
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("img:"):
                pictures = [
                    output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})
                ]
                yield tag.removeprefix("img:"), base64.b64decode(pictures[0])


if __name__ == "__main__":
    main()
