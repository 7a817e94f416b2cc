"""Run the series from the command line.

``python -m xraylib run`` executes notebooks 1 to 6 into copies with an HTML report under ``build/``
and prints the table of results; ``run-all`` does the same for every notebook, solutions included;
``publish`` executes every notebook in place on real images and refreshes ``imgs/`` and the
exercises: it writes tracked files. ``fetch [SOURCE]`` prepares a data set as an ordinary folder of
images that can be copied or shared, and says where it lies. ``predict MODEL FILES OUT`` classifies
an archive of files, on a cluster with ``--scheduler ADDRESS``. ``teach`` trains the networks that
find lungs and opacities again, on phantoms, and writes their weights into the package.
"""

import argparse
import base64
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from pyarrow.dataset import dataset, field

from xraylib import data
from xraylib.files.store import atomic_write, cache_dir
from xraylib.report import tagged_figures, write_report
from xraylib.sources.catalogue import SOURCES

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
CELL_SECONDS = 3600


def main():
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m xraylib")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    images = 'as XRAYLIB_SOURCE: "hub", "phantom", "pneumoniamnist", "chestmnist" or a path'
    for name, what in (
        ("run", "executes notebooks 1 to 6 into copies with a report under build/"),
        ("run-all", "executes all notebooks so, solutions too"),
        ("publish", "executes all notebooks in place on real images; writes tracked files"),
        ("fetch", "prepares a data set as an ordinary folder of images"),
    ):
        commands.add_parser(name, help=what).add_argument("source", nargs="?", help=images)
    commands.add_parser("teach", help="trains the networks that find lungs and opacities again")
    archive = commands.add_parser("predict", help="classifies an archive of files")
    archive.add_argument("model", help="a network saved as .keras")
    archive.add_argument("files", help="a folder, a glob, or a list: .txt, .csv or .parquet")
    archive.add_argument("out", help="folder of the result, a Parquet data set")
    archive.add_argument("--scheduler", help="of a cluster of Dask, such as tcp://10.0.0.1:8786")
    arguments = parser.parse_args()
    command = arguments.command
    if command == "predict":
        print(predict(arguments.model, arguments.files, arguments.out, arguments.scheduler))
        return
    if command == "teach":
        from xraylib.beyond import segmentation, teaching

        print(teaching.teach_both(segmentation.WEIGHTS))
        return
    if command == "fetch":
        print(f"Prepared; set XRAYLIB_SOURCE to this folder: {data.prepare(arguments.source)}")
        return
    lessons = ROOT / "notebooks"
    paths = sorted(lessons.glob("0[1-6]_*.ipynb" if command == "run" else "[0-9]*.ipynb"))
    if command != "run":  # exercises are left to the reader
        paths += sorted(lessons.glob("solutions/[0-9]*.ipynb"))
    if not paths:
        sys.exit("The notebooks are not in the package: run this in a clone, installed with -e.")
    source = data.decide_source(arguments.source)  # once, for all notebooks
    if source not in SOURCES.keys() - {"folder"}:  # a path, and notebooks run in their own folder
        source = str(Path(source).expanduser().absolute())
    os.environ.update(XRAYLIB_SOURCE=source, XRAYLIB_CACHE=str(cache_dir()))
    splits = data.load_splits()
    print(data.describe(splits), flush=True)
    if command == "publish" and data.is_synthetic(splits):
        sys.exit(
            "Notebooks are published with real images: set XRAYLIB_SOURCE, or go where the Hub "
            "can be reached."
        )
    executed = {
        path: execute(path, f"[{number}/{len(paths)}]") for number, path in enumerate(paths, 1)
    }
    if command == "publish":
        publish(executed)
    else:
        report(executed, splits)


def predict(model_path, files, out, scheduler=None):
    """Predict an archive, on a cluster if its address is given; return a sentence about it."""
    from xraylib.beyond.archive import Client, predict_archive  # here, since Dask is optional

    with Client(scheduler) if scheduler else nullcontext() as client:
        table = dataset(predict_archive(model_path, files, out, client=client))
    n_errors = table.count_rows(filter=~field("error").is_null())
    return f"{out}: {table.count_rows():,} files, {n_errors:,} of them with an error"


def execute(path, progress):
    """Execute a notebook in its own folder; return it with fresh outputs, and the seconds it took.

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
    seconds = time.monotonic() - start
    print(f"{seconds:.0f} s", flush=True)
    return notebook, seconds


def publish(executed):
    """Store executed notebooks in place, figures of cells tagged ``img:NAME``, and exercises."""
    for path, (notebook, _) in executed.items():
        atomic_write(path, f"{nbformat.writes(notebook).rstrip()}\n".encode())
        for name, output in tagged_figures(notebook):
            atomic_write(ROOT / "imgs" / f"{name}.png", base64.b64decode(output.data["image/png"]))
    generator = ROOT / "notebooks" / "make_exercises.py"
    subprocess.run([sys.executable, generator], check=True)


def report(executed, splits):
    """Write the executed copies and the report about them; print its table."""
    for path, (notebook, _) in executed.items():
        atomic_write(BUILD / path.name, nbformat.writes(notebook).encode())
    table = write_report(executed, splits, BUILD)
    print(f"\nReport: {BUILD.relative_to(ROOT)}/index.html\n")
    print(f"{data.describe(splits)}\n\n{table.to_string()}")


if __name__ == "__main__":
    main()
