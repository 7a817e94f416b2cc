"""Run the series from the command line.

``python -m xraylib run`` executes notebooks 1 to 6 into copies with an HTML report under ``build/``
and prints the table of results; ``run-all`` does the same for every notebook, solutions included;
``publish`` executes every notebook in place on real images and refreshes ``imgs/`` and the
exercises: it writes tracked files. ``fetch [SOURCE]`` prepares a data set as an ordinary folder of
images that can be copied or shared, and says where it lies. ``predict MODEL FILES OUT`` classifies
an archive of files, on a cluster with ``--scheduler ADDRESS``.
"""

import argparse
import base64
import html
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from pyarrow.dataset import dataset, field

from xraylib import cached, data, evaluation
from xraylib.files.store import atomic_write

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
CELL_SECONDS = 3600
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<title>Chest radiographs: report</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}}
td,th{{padding:.3rem .8rem;border-bottom:1px solid #ccc;text-align:right}}</style>
<h1>Chest radiographs: NORMAL or PNEUMONIA</h1><pre>{source}</pre>{table}<ol>{links}</ol></html>"""


def main():
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m xraylib", description=__doc__.split("\n\n")[1])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ("run", "run-all", "publish", "fetch"):
        help_ = 'as XRAYLIB_SOURCE: "hub", "phantom", "pneumoniamnist", "chestmnist" or a path'
        commands.add_parser(name).add_argument("source", nargs="?", help=help_)
    archive = commands.add_parser("predict")
    archive.add_argument("model", help="a network saved as .keras")
    archive.add_argument("files", help="a folder, a glob, or a list: .txt, .csv or .parquet")
    archive.add_argument("out", help="folder of the result, a Parquet data set")
    archive.add_argument("--scheduler", help="of a cluster of Dask, such as tcp://10.0.0.1:8786")
    arguments = parser.parse_args()
    command = arguments.command
    if command == "predict":
        print(predict(arguments.model, arguments.files, arguments.out, arguments.scheduler))
        return
    if command == "fetch":
        print(f"Prepared; set XRAYLIB_SOURCE to this folder: {data.prepare(arguments.source)}")
        return
    os.environ["XRAYLIB_SOURCE"] = data.decide_source(arguments.source)  # once, for all notebooks
    splits = data.load_splits()
    print(data.describe(splits), flush=True)
    if command == "publish" and data.is_synthetic(splits):
        sys.exit(
            "Notebooks are published with real images: set XRAYLIB_SOURCE, or go where the Hub "
            "can be reached."
        )
    lessons = ROOT / "notebooks"
    paths = sorted(lessons.glob("0[1-6]_*.ipynb" if command == "run" else "[0-9]*.ipynb"))
    if command != "run":  # exercises are left to the reader
        paths += sorted(lessons.glob("solutions/[0-9]*.ipynb"))
    executed = {
        path: execute(path, f"[{number}/{len(paths)}]") for number, path in enumerate(paths, 1)
    }
    (publish if command == "publish" else report)(executed, splits)


def predict(model_path, files, out, scheduler=None):
    """Predict an archive, on a cluster if its address is given; return a sentence about it."""
    from xraylib.beyond.archive import Client, predict_archive  # here, since Dask is optional

    with Client(scheduler) if scheduler else nullcontext() as client:
        table = dataset(predict_archive(model_path, files, out, client=client))
    n_errors = table.count_rows(filter=~field("error").is_null())
    return f"{out}: {table.count_rows():,} files, {n_errors:,} of them with an error"


def execute(path, progress):
    """Execute a notebook in its own folder; return it with fresh outputs.

    An error ends the run and names the cell.
    """
    print(f"{progress} {path.relative_to(ROOT)} …", end=" ", flush=True)
    start = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,  # a log is one output, not one for each line
        extra_arguments=["--log-level=ERROR"],
    ).execute()
    notebook.metadata.get("language_info", {}).pop("version", None)  # of this machine
    notebook.metadata.pop("widgets", None)
    print(f"{time.monotonic() - start:.0f} s", flush=True)
    return notebook


def publish(executed, splits):
    """Store executed notebooks in place, figures of cells tagged ``img:NAME``, and exercises."""
    for path, notebook in executed.items():
        atomic_write(path, f"{nbformat.writes(notebook).rstrip()}\n".encode())
        for name, png in tagged_figures(notebook):
            atomic_write(ROOT / "imgs" / f"{name}.png", png)
    generator = ROOT / "notebooks" / "make_exercises.py"
    subprocess.run([sys.executable, generator], check=True)


def tagged_figures(notebook):
    """Yield (name, PNG bytes) of each cell with a tag like ``img:confusion-matrix``."""
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("img:"):
                data_of = [output.get("data", {}) for output in cell.outputs]
                (png,) = [each["image/png"] for each in data_of if "image/png" in each]
                yield tag.removeprefix("img:"), base64.b64decode(png)


def report(executed, splits):
    """Write executed copies, an HTML page of each, and an index with the table of results."""
    links = []
    for path, notebook in executed.items():
        name = path.stem
        atomic_write(BUILD / path.name, nbformat.writes(notebook).encode())
        page, _ = HTMLExporter().from_notebook_node(notebook, {"metadata": {"name": name}})
        atomic_write(BUILD / f"{name}.html", page.encode())
        links.append(f'<li><a href="{name}.html">{html.escape(name)}</a></li>')
    table = results(splits)
    source = data.describe(splits)
    page = PAGE.format(
        source=html.escape(source), table=table.to_html(border=0), links="".join(links)
    )
    atomic_write(BUILD / "index.html", page.encode())
    print(f"\nReport: {BUILD.relative_to(ROOT)}/index.html\n\n{source}\n\n{table.to_string()}")


def results(splits):
    """Tabulate loss and accuracy of the reference network (seed 0) on the three splits."""
    from xraylib.model import predict_proba, train_model  # not for fetch: TensorFlow takes seconds

    arrays = cached.load_arrays(splits)
    model, _ = cached.load_trained(train_model, *arrays[:4])
    pairs = zip(data.SPLIT_NAMES, arrays[::2], arrays[1::2], strict=True)
    return evaluation.results_table({name: (y, predict_proba(model, X)) for name, X, y in pairs})


if __name__ == "__main__":
    main()
