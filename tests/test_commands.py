"""What the command line hands to the notebooks that it runs."""

import nbformat
import pytest

from xraylib import __main__


@pytest.mark.parametrize("argument", [[], ["set"]], ids=["environment", "argument"])
def test_relative_paths_count_from_where_the_command_is_given(folder, cache, monkeypatch, argument):
    code = "import os; print(os.environ['XRAYLIB_SOURCE'], os.environ['XRAYLIB_CACHE'])"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    (folder.parent / "notebooks").mkdir()
    nbformat.write(notebook, folder.parent / "notebooks" / "01_paths.ipynb")
    runs = []
    monkeypatch.setattr(__main__, "ROOT", folder.parent)
    monkeypatch.setattr(__main__, "report", lambda executed, splits: runs.extend(executed.values()))
    monkeypatch.setattr("sys.argv", ["xraylib", "run", *argument])
    monkeypatch.setenv("XRAYLIB_SOURCE", "phantom" if argument else "set")
    monkeypatch.setenv("XRAYLIB_CACHE", cache.name)
    monkeypatch.chdir(folder.parent)
    __main__.main()
    ((notebook, _),) = runs
    assert notebook.cells[0].outputs[0].text == f"{folder} {cache}\n"


def test_where_there_is_no_notebook_nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["xraylib", "run", "phantom"])
    with pytest.raises(SystemExit, match="notebooks are not in the package"):
        __main__.main()
    assert not [*tmp_path.iterdir()]
