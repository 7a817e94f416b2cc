"""The project around the library: environments, notebooks as files, what imports what."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("[0-9]*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_users_get_the_same_environment():
    text = (ROOT / "environment.yml").read_text()
    listed = re.findall(r'^ +- "?([\w-]+>=[\d.]+)"?$', text, re.MULTILINE)
    assert sorted(listed) == sorted(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])
    assert f"python{PROJECT['requires-python']}" in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_one_clean_run(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(output.get("name") != "stderr" and output["output_type"] != "error" for output in outputs)
    for output in outputs:
        if "image/png" in output.get("data", {}):
            assert output["metadata"]["image/png"]["alt"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_check_something(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    checked = [cell for cell in cells if "NBVAL_CHECK_OUTPUT" in "".join(cell["source"])]
    assert checked
    assert all(cell["outputs"] for cell in checked)


def test_the_early_modules_do_not_import_tensorflow():
    code = "import sys, xraylib.data, xraylib.preprocessing, xraylib.plotting, xraylib.evaluation, xraylib.store;"
    code += "assert not {'tensorflow', 'keras', 'torch', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
