"""The code that lessons show: plain Keras, executed, and the same as the library's."""

import ast
import importlib
import inspect
import textwrap
from collections import defaultdict

import numpy as np
import pytest
from lessons import FOLDER, LESSONS, code

from xraylib.model import build_model, train_model
from xraylib.quiet import keras, layers


def same_as():
    """Return the code of each notebook that is the same as a function's: {(path, name): text}."""
    shown = defaultdict(list)
    for path in LESSONS:
        for cell in code(path):
            for tag in cell["tags"]:
                if tag.startswith("same-as:"):
                    shown[path, tag.removeprefix("same-as:")].append(cell["source"])
    return {key: "\n".join(sources) for key, sources in shown.items()}


def resolve(name):
    """Return the object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def body_of(function):
    """Return the statements of a function without docstring and return."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    has_docstring = ast.get_docstring(definition) is not None
    return without_return(definition.body[has_docstring:])


def without_return(statements):
    return [statement for statement in statements if not isinstance(statement, ast.Return)]


def is_same(text, function):
    """Compare code with the body of a function; layout and comments do not matter."""
    shown = [ast.dump(statement) for statement in without_return(ast.parse(text).body)]
    return shown == [ast.dump(statement) for statement in body_of(function)]


def with_one_number_changed(text):
    """Return code with its last whole number one larger."""
    tree = ast.parse(text)
    numbers = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int]
    numbers[-1].value += 1
    return ast.unparse(tree)


def shortened(text):
    """Return code that trains two epochs and prints nothing."""
    tree = ast.parse(text)
    for keyword in (node for node in ast.walk(tree) if isinstance(node, ast.keyword)):
        if keyword.arg in ("epochs", "verbose"):
            keyword.value = ast.Constant({"epochs": 2, "verbose": 0}[keyword.arg])
    return ast.unparse(tree)


def history_of(text, toy_images):
    """Train as the cells of a lesson do, on toy images; return the history."""
    names = ("X_train", "y_train", "X_validation", "y_validation")
    namespace = dict(zip(names, toy_images, strict=True))
    namespace |= {"keras": keras, "layers": layers, "build_model": build_model, "np": np}
    exec(shortened(text), namespace)
    return getattr(namespace["history"], "history", namespace["history"])


SHOWN = same_as()
COMPARED = [key for key in SHOWN if not key[1].endswith(".train_model")]
TRAINED = [key for key in SHOWN if key[1].endswith(".train_model")]


def ids(value):
    return getattr(value, "stem", value)


@pytest.mark.parametrize(("path", "name"), COMPARED, ids=ids)
def test_a_cell_that_says_so_is_the_same_as_the_function(path, name):
    assert is_same(SHOWN[path, name], resolve(name))


@pytest.mark.parametrize(("path", "name"), COMPARED, ids=ids)
def test_a_cell_with_a_changed_number_is_not_the_same(path, name):
    assert not is_same(with_one_number_changed(SHOWN[path, name]), resolve(name))


@pytest.mark.parametrize(("path", "name"), TRAINED, ids=ids)
def test_a_lesson_trains_as_the_library_does(path, name, toy_images):
    _, history = train_model(*toy_images, epochs=2, verbose=0)
    assert history_of(SHOWN[path, name], toy_images) == history


@pytest.mark.parametrize(("path", "name"), TRAINED, ids=ids)
def test_a_lesson_with_another_seed_trains_otherwise(path, name, toy_images):
    _, history = train_model(*toy_images, epochs=2, verbose=0)
    text = SHOWN[path, name].replace("set_random_seed(0)", "set_random_seed(1)")
    assert text != SHOWN[path, name]
    assert history_of(text, toy_images) != history


def test_the_lessons_show_how_the_network_is_built_and_trained():
    assert {"xraylib.model.build_model", "xraylib.model.train_model"} <= {name for _, name in SHOWN}


@pytest.mark.parametrize(
    ("lesson", "calls"),
    [
        ("03_model", {"Sequential", "summary", "compile"}),
        ("04_training", {"fit"}),
        ("05_evaluation", {"evaluate", "predict"}),
    ],
)
def test_a_lesson_calls_keras_itself(lesson, calls):
    trees = [
        ast.parse(cell["source"]) for cell in code(FOLDER / f"{lesson}.ipynb") if executed(cell)
    ]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert calls <= {getattr(node.func, "attr", None) for node in nodes}


def test_lesson_2_defines_its_preprocessing():
    cells = [cell for cell in code(FOLDER / "02_preprocessing.ipynb") if executed(cell)]
    definitions = [s for cell in cells for s in ast.parse(cell["source"]).body]
    assert "preprocess" in {getattr(definition, "name", None) for definition in definitions}


def executed(cell):
    return cell["execution_count"] is not None
