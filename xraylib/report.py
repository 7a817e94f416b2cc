"""The report of a run: pages that are whole without a network, a server or a script.

The first page has the result in a sentence, the table behind it, the main figures of the notebooks
and the notebooks themselves, each a page with its formulas in MathML. The style is the site's.
"""

import html
import os
import re
from copy import deepcopy
from pathlib import Path

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat.v4 import new_output
from pygments.formatters import HtmlFormatter

from xraylib import cached, data, evaluation
from xraylib.files.store import atomic_write

STYLE = Path(__file__).with_name("style.css")
WIDGET = "application/vnd.jupyter.widget-view+json"
STILL = "*In JupyterLab this figure has sliders; here it stands still.*"
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body class="report">
<header><a href="index.html">Report</a> For teaching, not for diagnosis.</header>
<main>{body}</main>
</body>
</html>
"""
INDEX = """<h1>Chest radiographs: NORMAL or PNEUMONIA?</h1>
<p class="answer">{answer}</p>
<p class="note">{source}</p>
<h2>Loss and accuracy of the reference network</h2>
<div class="output_html">{table}</div>
<p>Beside them what was reported for this network on the Hub's own split of the real images.</p>
<h2>The notebooks of this run</h2>
<ul>{links}</ul>
<h2>What they drew</h2>
{figures}"""
FIGURE = """<figure><img src="data:image/png;base64,{png}" alt="{alt}" width="{width}">
<figcaption>From <a href="{page}">{title}</a></figcaption></figure>"""
LINK = re.compile(r'(?<= href=")(?![a-z]+:|#)([^"#]+)')
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
SCROLLED = re.compile(r'<(pre|div(?= class="output_html))')  # where the keyboard needs a stop


def write_report(executed, splits, folder):
    """Write a page for each executed notebook, and the first page.

    Parameters
    ----------
    executed : dict of Path to tuple of NotebookNode and float
        For each notebook file the notebook with its outputs, and the seconds that they took.
    splits : datasets.DatasetDict
        What `xraylib.data.load_splits` returns.
    folder : Path
        Where ``index.html`` and the pages are written.

    Returns
    -------
    DataFrame
        The table of results, see `xraylib.evaluation.results_table`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> write_report({}, data.load_splits("phantom"), Path(mkdtemp())).index.tolist()
    ['train', 'validation', 'test']
    """
    pages = {path.resolve(): f"{path.stem}.html" for path in executed}
    links = []
    figures = []
    for path, (notebook, seconds) in executed.items():
        # A page for the notebook, with links to other pages or to files of the repository
        title = _title(notebook)
        name = pages[path.resolve()]
        body = LINK.sub(
            lambda link, path=path: _moved(path, link[1], pages, folder), _body(notebook)
        )
        atomic_write(folder / name, _page(title, body))

        # Its line and its figures on the first page
        links.append(f'<li><a href="{name}">{title}</a>, {seconds:.0f}&nbsp;s</li>')
        for _, output in tagged_figures(notebook):
            shown = output.metadata["image/png"]
            figures.append(
                FIGURE.format(
                    png=output.data["image/png"].replace("\n", ""),
                    alt=html.escape(shown["alt"]),
                    width=shown["width"],
                    page=name,
                    title=title,
                )
            )
    predictions = _predictions(splits)
    table = evaluation.results_table(predictions)
    index = INDEX.format(
        answer=_answer(*predictions["test"]),
        source=html.escape(data.describe(splits)).replace("\n", "<br>"),
        table=table.to_html(border=0),
        links="".join(links),
        figures="".join(figures),
    )
    atomic_write(folder / "index.html", _page("Report: chest radiographs", index))
    return table


def tagged_figures(notebook):
    """Find the figures of cells with a tag like ``img:confusion-matrix``.

    Parameters
    ----------
    notebook : NotebookNode
        With outputs.

    Yields
    ------
    tuple of str and NotebookNode
        The name in the tag, and the output with the figure as ``image/png``.

    Examples
    --------
    >>> from nbformat.v4 import new_code_cell, new_notebook, new_output
    >>> output = new_output("display_data", {"image/png": "iVBOR"})
    >>> cell = new_code_cell(outputs=[output], metadata={"tags": ["img:chest"]})
    >>> [name for name, _ in tagged_figures(new_notebook(cells=[cell]))]
    ['chest']
    """
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("img:"):
                (figure,) = [each for each in cell.outputs if "image/png" in each.get("data", {})]
                yield tag.removeprefix("img:"), figure


def without_widgets(notebook):
    """Replace each widget by the figure stored with it, and a line that says so.

    Parameters
    ----------
    notebook : NotebookNode
        With outputs; it is not changed.

    Returns
    -------
    NotebookNode

    Examples
    --------
    >>> from nbformat.v4 import new_code_cell, new_notebook, new_output
    >>> slider = new_output("display_data", {WIDGET: {}, "image/png": "iVBOR"})
    >>> notebook = without_widgets(new_notebook(cells=[new_code_cell(outputs=[slider])]))
    >>> [list(output.data) for output in notebook.cells[0].outputs]
    [['image/png'], ['text/markdown']]
    """
    notebook = deepcopy(notebook)
    for cell in notebook.cells:
        widgets = [each for each in cell.get("outputs", []) if WIDGET in each.get("data", {})]
        for output in widgets:
            del output.data[WIDGET]
            cell.outputs.append(new_output("display_data", {"text/markdown": STILL}))
    return notebook


def _page(title, body):
    """Write a whole page: the style stands in it, and what scrolls is a stop of the keyboard."""
    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".highlight")
    colors = f"{light}@media (prefers-color-scheme: dark) {{{dark}}}"
    style = STYLE.read_text(encoding="utf-8") + colors
    body = SCROLLED.sub(r'<\1 tabindex="0"', body)
    return PAGE.format(title=title, style=style, body=body).encode()


def _title(notebook):
    return html.escape(re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1])


def _moved(path, link, pages, folder):
    """Return where a link of a notebook leads from the folder of the report."""
    target = (path.parent / link).resolve()
    return pages.get(target) or Path(os.path.relpath(target, folder.resolve())).as_posix()


def _body(notebook):
    """Return the inside of a notebook's page."""
    exporter = _Exporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True
    )
    return exporter.from_notebook_node(without_widgets(notebook))[0]


class _Exporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source):
        renderer = _Renderer(escape=False, exclude_anchor_links=True)
        body = MarkdownWithMath(renderer=renderer).render(source)
        return TABLE.sub(r'<div class="output_html">\g<0></div>', body)


class _Renderer(IPythonRenderer):
    def inline_math(self, body):
        return convert(body)

    def block_math(self, body):
        return f'<span class="formula" tabindex="0">{convert(body, display="block")}</span>'


def _answer(y, p):
    """Say in a sentence what the network is worth on the test images."""
    recall = evaluation.recall_by_class(y, p)
    n_correct = recall["correct"].sum()
    low, high = evaluation.wilson_interval(n_correct, len(y))
    classes = " and ".join(
        f"{row.correct:,} of {row.total:,} {row.Index}" for row in recall.itertuples()
    )
    return (
        f"Of {len(y):,} test images the reference network calls {n_correct:,} correctly, "
        f"{n_correct / len(y):.1%} (95% interval {low:.1%} to {high:.1%}): {classes}."
    )


def _predictions(splits):
    """Predict all images by the reference network (seed 0): y and p by the name of the split."""
    from xraylib.model import predict_proba, train_model  # here, since TensorFlow takes seconds

    arrays = cached.load_arrays(splits)
    model, _ = cached.load_trained(train_model, *arrays[:4])
    pairs = zip(data.SPLIT_NAMES, arrays[::2], arrays[1::2], strict=True)
    return {name: (y, predict_proba(model, X)) for name, X, y in pairs}
