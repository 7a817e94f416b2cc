"""Find numbers in prose that nothing measured: ``tests/notebooks/check_numbers.py [PAGE ...]``.

A page is a notebook or a Markdown file; without one, all lessons, their solutions and the README
are read. Every decimal (0.975) and every percentage (97.5%, 5 percent, 4.6 points) in their prose
has to equal, rounded to its own digits,

- a number in a stored output of the same notebook, alternative texts included (0.9749 or 97.49%
  for 97.5%), or exactly a number that its code cells set (``epochs=20``, ``threshold = 0.99``);
- or N/M where "N of the M" stands beside it and both are in stored outputs;
- or something that an HTML comment beside it names. It holds for the paragraph, the list item or
  the row of a table in which it stands; on the line right after a table, for all its rows:

  ``<!-- source: 05_evaluation.ipynb -->`` or ``<!-- source: 05_evaluation.ipynb cell-id -->``
      the stored outputs of another notebook, or of one of its cells;
  ``<!-- source: results/timings.csv COLUMN ROW -->``
      a cell of a table; ROW is what its first column says there, or mean, min, max of COLUMN, and
      what has spaces is quoted: ``"one file"``;
  ``<!-- source: results/seeds.csv.gz reference_* accuracy test -->``
      accuracy, sensitivity, specificity, auc or loss of the networks whose columns match, and
      their mean, min and max, on the images of a split (``part_darkest=test``: where that column
      says test; ``all``: every image);
  ``<!-- computed: 277/280; 1 - 0.98**2; log(2) -->``
      what comes out (log, exp and sqrt are known); each number in it has to be below 10 and whole,
      0.5, 1.96, 100, 1000, or in an output or in the text beside it;
  ``<!-- literature -->``, ``<!-- definition -->``
      somebody else's figure; a convention, a rule, the premise of a thought experiment. With
      numbers, only these: ``<!-- literature: 0.95, 70% -->``.

Several sources are several comments, or parted by ``;``. Paths start at the page's folder. Code,
links, DOIs, versions (Keras 3.15) and "95% interval" are left alone. A minus counts, a missing one
does not ("falls by 0.03" for -0.03).
"""

import ast
import math
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too

from lessons import LESSONS, ROOT, SOLUTIONS, read, texts  # noqa: E402

PAGES = [*LESSONS, *SOLUTIONS, ROOT / "README.md"]
NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
UNIT = r"\s?(?:\\?%|per ?cent\b|(?:percentage )?points?\b)"
CLAIM = re.compile(
    rf"(?<![\w.])(?P<sign>(?<![\w.)\]–])[−-])?(?P<number>{NUMBER})(?!\d|\.\d|,\d{{3}})"
    rf"(?P<percent>{UNIT})?"
    rf"(?P<series>(?=(?:\s?(?:to|and|or|,|/|–|-)\s?{NUMBER})+{UNIT}))?"
)
MARK = re.compile(r"<!--\s*(source|computed|literature|definition)\b:?\s*(.*?)\s*-->", re.DOTALL)
FENCED = re.compile(r"^ *(```|~~~).*?^ *\1[^\n]*$", re.MULTILINE | re.DOTALL)
LEFT_ALONE = re.compile(
    r"<!--.*?-->|<[^<>]*>"  # comments, tags
    r"|(`+)(?!`).*?(?<!`)\1(?!`)"  # code
    r"|(?<=\])\([^()\s]*(?:\([^()]*\)[^()\s]*)*\)"  # targets of links
    r"|https?:\S+|doi:\S+|\b10\.\d{4,}/\S+|arXiv:\S+"
    r"|\b(?:Keras|TensorFlow|Python|NumPy|pandas|scikit-learn|JupyterLab|BY|version)"
    r" \d[\d.]*(?: to \d[\d.]*)?"
    r"|95% (?:\w+ ){0,2}(?:confidence|intervals?)|middle 95%",
    re.DOTALL,
)
MEASURES = {
    "accuracy": lambda y, p: np.mean((p > 0.5) == y),
    "sensitivity": lambda y, p: np.mean(p[y == 1] > 0.5),
    "specificity": lambda y, p: np.mean(p[y == 0] <= 0.5),
    "auc": roc_auc_score,
    # Stored probabilities have five digits: 0 and 1 stand for what is nearer than half of the last.
    "loss": lambda y, p: log_loss(y, np.clip(p, 5e-6, 1 - 5e-6)),
}
FUNCTIONS = {"log": math.log, "exp": math.exp, "sqrt": math.sqrt}
ARITHMETIC = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Constant)
ARITHMETIC += (ast.Call, ast.Name, ast.expr_context)


@dataclass
class Known:
    """Numbers that prose may repeat.

    Attributes
    ----------
    measured : set of float
        Repeated when rounded.
    percentages : set of float
        Those of them that may be a percentage as they stand.
    exact : set of float
        Repeated to the digit.
    """

    measured: set = field(default_factory=set)
    percentages: set = field(default_factory=set)
    exact: set = field(default_factory=set)

    def __or__(self, other):
        return Known(
            self.measured | other.measured,
            self.percentages | other.percentages,
            self.exact | other.exact,
        )

    def has(self, claim):
        """Tell whether a claim repeats one of the numbers."""
        value = float(claim["number"].replace(",", ""))
        digits = len(claim["number"].partition(".")[2])
        half = 0.5 * 10**-digits * (1 + 1e-6)
        candidates = set()
        if claim["percent"] or claim["series"] is not None:
            candidates |= {100 * number for number in self.measured if abs(number) <= 1}
            candidates |= self.percentages
        if not claim["percent"]:
            candidates |= self.measured
        exact = self.exact | (
            {100 * number for number in self.exact} if claim["percent"] else set()
        )
        return any(
            abs(number + value if claim["sign"] else abs(number) - value) <= half
            for number in candidates
        ) or any(math.isclose(abs(number), value) for number in exact)


# ---------------------------------------------------------------------------- what was measured


def numbers_in(text):
    """Return the numbers of a printed text or an HTML table."""
    text = re.sub(r"<style.*?</style>|<[^<>]+>", " ", text, flags=re.DOTALL)
    known = Known()
    for match in re.finditer(rf"([−-]?)({NUMBER}(?:e[+-]?\d+)?)(\s?%)?", text):
        value = float(match[2].replace(",", "")) * (-1 if match[1] else 1)
        known.measured.add(value)
        if match[3] or "." in match[2]:
            known.percentages.add(value)
    return known


def outputs_of(path, cell_id=None):
    """Return the numbers in the stored outputs of a notebook, or of one of its cells."""
    cells = [cell for cell in read(path) if cell_id in (None, cell["id"])]
    if not cells:
        raise ValueError(f"{path.name} has no cell {cell_id}")
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return numbers_in("\n".join(text for output in outputs for text in texts(output)))


def settings_of(path):
    """Return the numbers that the code cells of a notebook set."""
    trees = [ast.parse(cell["source"]) for cell in read(path) if cell["cell_type"] == "code"]
    values = [getattr(node, "value", None) for tree in trees for node in ast.walk(tree)]
    return Known(exact={abs(value) for value in values if type(value) in (int, float)})


def source(folder, words):
    """Return the numbers that a source names."""
    path, *words = words
    path = folder / path
    if path.suffix == ".ipynb":
        return outputs_of(path, *words)
    table = pd.read_csv(path)
    if len(words) == 3:
        return predictions(table, *words)
    column, row = words
    if row in ("mean", "min", "max"):
        return _of_cells([table[column].agg(row)])
    return _of_cells(table.loc[table.iloc[:, 0].astype(str) == row, column])


def predictions(table, pattern, measure, images):
    """Return a measure of each network whose column matches, and the mean of them."""
    column, _, value = images.rpartition("=")
    rows = table if images == "all" else table[table[column or "split"] == value]
    names = table.columns[[bool(re.fullmatch(pattern.replace("*", r"\w+"), c)) for c in table]]
    values = []
    for name in names:
        known = rows[rows[name].notna()]
        label = known["label"].replace({"NORMAL": 0, "PNEUMONIA": 1}).astype(int).to_numpy()
        values.append(float(MEASURES[measure](label, known[name].to_numpy())))
    return _of_cells([*values, np.mean(values)])


def _of_cells(values):
    values = {float(value) for value in values}
    if not values:
        raise ValueError("no such cell")
    return Known(values, values)


def computed(text, known):
    """Return what an expression of numbers comes to; all its numbers must be known."""
    tree = ast.parse(text.strip(), mode="eval")
    everything = known.measured | known.exact | {*range(10), 0.5, 1.96, 100, 1000}
    for node in ast.walk(tree):
        if not isinstance(node, ARITHMETIC) or getattr(node, "id", "log") not in FUNCTIONS:
            raise ValueError(f"{text} is more than arithmetic")
        value = getattr(node, "value", 0)
        if not any(math.isclose(value, number) for number in everything):
            raise ValueError(f"{value} in {text} is neither in an output nor in the text beside it")
    value = float(eval(compile(tree, "", "eval"), {"__builtins__": {}}, FUNCTIONS))
    return Known({value}, {value})


# ------------------------------------------------------------------------------- what prose claims


def blocks(markdown):
    """Split Markdown into paragraphs, list items and rows of tables, each with its marks."""
    text = FENCED.sub("", markdown)
    text = re.sub(r"^(?= *(?:[-*+]|\d+\.) )", "\n", text, flags=re.MULTILINE)
    for block in re.split(r"\n\s*\n", text):
        rows = [line for line in block.splitlines() if line.lstrip().startswith("|")]
        if not rows:
            yield block, MARK.findall(block)
            continue
        rest = "\n".join(line for line in block.splitlines() if line not in rows)
        yield rest, MARK.findall(rest)
        for row in rows:
            yield row, MARK.findall(row) + MARK.findall(rest)


def claims(text):
    """Return the decimals and percentages of a block of prose."""
    text = LEFT_ALONE.sub(" … ", text)
    found = [(match.groupdict(), text[max(0, match.start() - 40) : match.end() + 30])
             for match in CLAIM.finditer(text)]  # fmt: skip
    return [(c, context) for c, context in found if c["percent"] or "." in c["number"]]


def ratios(text, known):
    """Return N/M for each "N of the M" in a text whose two numbers are known."""
    pairs = re.findall(rf"({NUMBER}) of (?:the |all |its )?({NUMBER})", text)
    pairs = [[float(number.replace(",", "")) for number in pair] for pair in pairs]
    values = {part / whole for part, whole in pairs if {part, whole} <= known.measured and whole}
    return Known(values, values)


def unmatched(markdown, known, folder):
    """List what is wrong with the numbers of a Markdown text, in words."""
    problems = []
    for text, marks in blocks(markdown):
        local, exempt = known | ratios(text, known), set()
        beside = numbers_in(LEFT_ALONE.sub(" ", text))
        for kind, words in marks:
            try:
                for part in words.split(";"):
                    if kind == "source":
                        local = local | source(folder, shlex.split(part))
                    elif kind == "computed":
                        local = local | computed(part, local | beside)
                    else:
                        exempt |= beside.measured if not part else numbers_in(part).measured
            except (ValueError, TypeError, KeyError, OSError, SyntaxError) as error:
                problems.append(f"the mark “{kind}: {words}”: {error or type(error).__name__}")
        for claim, context in claims(text):
            value = float(claim["number"].replace(",", ""))
            if not local.has(claim) and not {value, -value} & exempt:
                number = f"{claim['sign'] or ''}{claim['number']}{claim['percent'] or ''}"
                problems.append(f"{number} in “{' '.join(context.split())}”")
    return problems


def problems_of(path):
    """List what is wrong with the numbers of a page, each with its cell."""
    path = Path(path).resolve()
    if path.suffix == ".md":
        return unmatched(path.read_text(encoding="utf-8"), Known(), path.parent)
    known = outputs_of(path) | settings_of(path)
    return [
        f"cell {number} ({cell['id']}): {problem}"
        for number, cell in enumerate(read(path))
        if cell["cell_type"] == "markdown"
        for problem in unmatched(cell["source"], known, path.parent)
    ]


def main(pages):
    """Print what is wrong and return how much it is."""
    count = 0
    for page in pages or PAGES:
        for problem in problems_of(page):
            print(f"{page.relative_to(ROOT) if page in PAGES else page}: {problem}")
            count += 1
    print(f"{count} numbers in prose that nothing measured")
    return bool(count)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
