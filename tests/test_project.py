"""The project around the library: environments, the wheel, files, imports, names."""

import ast
import graphlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from lessons import LESSONS, SOLUTIONS
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NOTEBOOKS = [*LESSONS, *SOLUTIONS]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "xraylib").rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}

# The rooms of the house from the ground up: a room may import those of lower levels, and itself.
LEVELS = {
    "": 0,  # xraylib/__init__.py, the names of the classes
    "files": 1,
    "phantoms": 1,
    "quiet": 1,
    "evaluation": 1,
    "plotting": 1,
    "sources": 2,
    "data": 3,
    "preprocessing": 4,
    "model": 5,
    "cached": 6,
    "beyond": 7,
    "report": 7,
    "__main__": 8,
}
WITHOUT_TENSORFLOW = LEVELS.keys() - {"quiet", "model", "cached", "beyond", "report", "__main__"}
FRAMEWORKS = {"tensorflow", "keras", "torch", "jax"}
DROPPED_WORDS = {
    *("absorption", "alarm", "alarms", "described", "found", "grown", "hits", "ill"),
    *("keep", "kept", "mend", "mended", "neper", "nepers", "picture", "pictures"),
    *("said", "share", "shares", "shrunk", "watched"),
}
STRAY_PATH = re.compile(r"(?<![\w/.-])(?:/(?:work|home|root|Users)/|[A-Z]:\\+Users)\S*")


def room(module):
    """The file or folder right below xraylib/ in which a module lies."""
    return module.partition(".")[2].partition(".")[0]


def imports(module):
    """The full names of all that a module imports, in functions too: `xraylib.files.store`."""
    package = module if SOURCES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = [*parents[: len(parents) - node.level + 1]] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            # a name is a module of ours, or something that the module `origin` holds
            for alias in node.names:
                full = f"{origin}.{alias.name}"
                yield full if full in SOURCES else origin


def arrows(module):
    """The modules of xraylib that a module imports."""
    return {name for name in imports(module) if name.partition(".")[0] == "xraylib"}


def public_definitions(tree):
    """Public functions and classes of a module, and the public methods of these classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node)


def public_names(tree):
    """Names of functions and classes, of their parameters, and of the fields of classes."""
    for node in public_definitions(tree):
        yield node.name
        if isinstance(node, ast.FunctionDef):
            yield from (
                argument.arg for argument in ast.walk(node.args) if type(argument) is ast.arg
            )
        else:
            yield from (part.target.id for part in node.body if isinstance(part, ast.AnnAssign))


def words(name):
    """The words of a name, in lower case: `plot_curves`, `BetterNetwork`."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def code_cells(path):
    """The code cells of a notebook file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def requirements():
    """Every requirement of the project, those of its extras too."""
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for group in (PROJECT["dependencies"], *extras) for text in group]


# Environments


def test_conda_users_get_the_same_environment():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = re.findall(r'^ +- "?([\w\[\]-]+>=[\d.]+)"?$', text, re.MULTILINE)
    extras = PROJECT["optional-dependencies"]
    assert sorted(listed) == sorted(PROJECT["dependencies"] + extras["dev"])
    assert f"python{PROJECT['requires-python']}" in text


def test_whoever_tests_has_the_optional_requirements_too():
    extras = PROJECT["optional-dependencies"]
    assert {*extras["dicom"], *extras["cluster"]} <= set(extras["dev"])


def test_every_requirement_has_a_measured_version():
    lines = (ROOT / ".ci" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    measured = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    for requirement in requirements():
        assert measured[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_hooks_use_the_measured_ruff():
    pin = re.search(r"^ruff==.*$", (ROOT / ".ci" / "constraints.txt").read_text(), re.MULTILINE)[0]
    assert pin in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")


def test_the_wheel_holds_every_module(tmp_path):
    # a copy, so that neither an old build folder counts nor a new one is left
    shutil.copytree(ROOT / "xraylib", tmp_path / "xraylib")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", "."]
    command = [sys.executable, "-m", "pip", "wheel", *options, "."]
    subprocess.run(command, check=True, cwd=tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    modules = {path.relative_to(ROOT).as_posix() for path in SOURCES.values()}
    assert modules | {"xraylib/style.css", "xraylib/beyond/phantom_taught.npz"} <= packed
    assert {name.partition("/")[0] for name in packed} == {"xraylib"}


# Files


def test_no_path_of_a_machine_stands_in_a_file():
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listing.stdout.splitlines():
        if not name.endswith((".png", ".gz", ".npz")) and (ROOT / name).exists():
            stray = STRAY_PATH.search((ROOT / name).read_text(encoding="utf-8"))
            assert not stray, f"{name}: {stray[0]}"


def test_the_readme_names_every_room():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^ +(\w+)(?:\.py|/) ", text, re.MULTILINE))
    assert {room(module) for module in SOURCES} - {""} <= named


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_one_clean_run(path):
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(output["output_type"] != "error" for output in outputs)
    assert all(output.get("name") != "stderr" for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_figures_in_notebooks_have_alternative_texts(path):
    for output in (output for cell in code_cells(path) for output in cell["outputs"]):
        if "image/png" in output.get("data", {}):
            assert output["metadata"]["image/png"]["alt"]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_lessons_check_something(path):
    tagged = [c for c in code_cells(path) if "nbval-check-output" in c["metadata"].get("tags", [])]
    assert tagged
    assert all(cell["outputs"] for cell in tagged)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_readers_stumble_over_no_marker_of_the_tests(path):
    assert "NBVAL" not in path.read_text(encoding="utf-8")


# What imports what


def test_the_table_of_levels_names_every_room():
    assert {room(module) for module in SOURCES} <= LEVELS.keys()


@pytest.mark.parametrize("module", SOURCES)
def test_a_room_imports_only_rooms_of_lower_levels(module):
    level = LEVELS[room(module)]
    back = {
        name
        for name in arrows(module)
        if room(name) != room(module) and LEVELS.get(room(name), 99) >= level
    }
    assert back == set()


def test_no_import_runs_in_a_circle():
    graph = {module: arrows(module) for module in SOURCES}
    try:
        order = [*graphlib.TopologicalSorter(graph).static_order()]
    except graphlib.CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
    assert set(order) >= set(SOURCES)


@pytest.mark.parametrize("module", SOURCES)
def test_no_import_hides_in_a_call(module):
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(TREES[module])}
    assert not {"__import__", "import_module"} & names
    assert "def __getattr__" not in {ast.unparse(node)[:15] for node in TREES[module].body}


@pytest.mark.parametrize("module", [name for name in SOURCES if room(name) != "quiet"])
def test_tensorflow_is_imported_quietly_or_not_at_all(module):
    assert not FRAMEWORKS & {name.partition(".")[0] for name in imports(module)}


def test_the_early_rooms_do_not_import_tensorflow():
    early = [module for module in SOURCES if room(module) in WITHOUT_TENSORFLOW]
    code = f"import sys, {', '.join(early)}; assert not {FRAMEWORKS} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# Names


@pytest.mark.parametrize("module", SOURCES)
def test_public_names_are_the_words_of_the_field(module):
    names = public_names(TREES[module])
    assert {name for name in names if words(name) & DROPPED_WORDS} == set()
