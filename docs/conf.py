"""Settings of Sphinx for the site; docs/build.py prepares the sources and calls it."""

from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]

project = "Chest radiographs: NORMAL or PNEUMONIA?"
author = "The xraylib authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

# The stored outputs, nothing executed, no script for widgets; formulas as MathML, without a script.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["attrs_inline", "dollarmath"]
myst_heading_anchors = 4
html_math_renderer = "mathml"

# Docstrings: numpydoc, in the order of the source, with names in single backticks.
autodoc_member_order = "bysource"
default_role = "py:obj"
napoleon_google_docstring = False
napoleon_use_rtype = False
viewcode_follow_imported_members = False

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["site.css", str(ROOT / "xraylib" / "style.css")]
html_css_files = ["style.css", "site.css"]
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_theme_options = {
    "announcement": "For teaching, not for diagnosis.",
    "home_page_in_toc": True,
    "use_download_button": False,
    "search_as_you_type": False,
    "use_fullscreen_button": False,
}


def inline_formula(self, node):
    """Write a formula in a line as MathML."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display_formula(self, node):
    """Write a formula on a line of its own as MathML, which the keyboard can scroll."""
    formula = convert(node.astext(), display="block")
    self.body.append(
        f'<div class="formula" role="group" aria-label="formula" tabindex="0">{formula}</div>'
    )
    raise nodes.SkipNode


def setup(app):
    """Register the renderer of formulas."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (display_formula, None))
