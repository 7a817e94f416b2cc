"""Every notebook in JupyterLab in headless Chromium, as a reader runs it: ``make e2e``.

Needs a Chromium browser on the PATH. Screenshots and the notebooks that ran stay in ``build/e2e``.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from lessons import LESSONS, SOLUTIONS

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "e2e"
NOTEBOOKS = [*LESSONS, *SOLUTIONS]
TOKEN = secrets.token_hex()  # no one else on the machine runs code in this Lab
STATE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const models = panel.content.widgets.map(w => w.model);
  const cells = models.filter(m => m.type === 'code' && m.sharedModel.source.trim());
  const outputs = cells.flatMap(
    m => [...Array(m.outputs.length).keys()].map(i => m.outputs.get(i).toJSON())
  );
  const stderr = outputs.filter(o => o.output_type === 'stream' && o.name === 'stderr');
  return {
    status: panel.sessionContext.session?.kernel?.status,
    waiting: cells.filter(m => !m.executionCount || m.executionState === 'running').length,
    errors: outputs.filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue),
    red: stderr.map(o => String(o.text)),
  };
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab that works on copies of the notebooks."""
    shutil.rmtree(PLACE / "notebooks", ignore_errors=True)
    shutil.copytree(ROOT / "notebooks", PLACE / "notebooks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        f"--IdentityProvider.token={TOKEN}",
        "--expose-app-in-browser",
    ]
    # the copies lie elsewhere: their kernels find the library by its path
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(tmp_path_factory.mktemp("jupyter")),
    }
    command = [sys.executable, "-m", "jupyterlab", *options]
    with (PLACE / "lab.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=PLACE / "notebooks", env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=1)
            break
        except OSError:
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_the_browser(lab, browser, path):
    page = browser.new_page(viewport={"width": 1200, "height": 1600})
    page.goto(
        f"{lab}/lab/tree/{path.relative_to(ROOT / 'notebooks').as_posix()}?reset&token={TOKEN}"
    )
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget"
        "?.sessionContext?.session?.kernel?.status === 'idle'",
        timeout=120_000,
    )
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')", None)
    deadline = time.monotonic() + 900
    while (state := page.evaluate(STATE))["waiting"] or state["status"] != "idle":
        assert time.monotonic() < deadline, f"still running: {state}"
        if state["errors"]:
            break
        time.sleep(0.5)
    assert not state["errors"]
    assert not state["red"]
    page.screenshot(path=PLACE / f"{path.stem}-end.png")
    cells = nbformat.read(path, 4).cells
    at = next((number for number, cell in enumerate(cells) if "Explorer(" in cell.source), None)
    page.evaluate("at => window.jupyterapp.shell.currentWidget.content.scrollToItem(at)", at or 0)
    if at is not None:
        widget = page.locator(".jp-OutputArea-output:has(.widget-slider)").first
        widget.wait_for()
        picture, handle = widget.locator("img").first, widget.locator(".noUi-handle").first
        before = picture.get_attribute("src")
        handle.focus()
        for key in ("ArrowLeft", "ArrowRight"):  # a slider may stand at one of its ends
            for _ in range(3):
                page.keyboard.press(key)
            for _ in range(60):
                if picture.get_attribute("src") != before:
                    break
                time.sleep(0.1)
            if picture.get_attribute("src") != before:
                break
        assert picture.get_attribute("src") != before, "the slider moves nothing"
    time.sleep(1)  # until what is in view is drawn
    page.screenshot(path=PLACE / f"{path.stem}-{'begin' if at is None else 'slider'}.png")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:shutdown-kernel')")
    page.close()
