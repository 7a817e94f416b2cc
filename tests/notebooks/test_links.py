"""Every link leads somewhere, and every term of the glossary is linked."""

import re
from urllib.parse import unquote

import pytest
from lessons import FOLDER, LESSONS, ROOT, prose

PAGES = [ROOT / "README.md", *sorted(FOLDER.rglob("*.md")), *sorted(FOLDER.rglob("[0-9]*.ipynb"))]
CODE = re.compile(r"^(```|~~~).*?^\1|(`+)(?!`).*?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(
    r"\]\(\s*<?([^()\s>]+(?:\([^()\s]*\))?)>?(?:\s+\"[^\"]*\")?\s*\)|(?:href|src)=\"([^\"]+)\""
)
HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)


def links(path):
    """Return the links of a page to files or parts of them, none of those to the web."""
    found = ["".join(match) for match in LINK.findall(CODE.sub("", prose(path)))]
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(path):
    """Return the anchors of a page: its headings as GitHub and as JupyterLab call them."""
    text = re.sub(r"^(```|~~~).*?^\1", "", prose(path), flags=re.MULTILINE | re.DOTALL)
    for heading in HEADING.findall(text):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip()
        yield re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")  # GitHub
        if path.suffix == ".ipynb":
            yield words.replace(" ", "-")  # JupyterLab
    yield from re.findall(r"\bid=\"([^\"]+)\"", text)


def leads_somewhere(path, link):
    file, _, anchor = unquote(link).partition("#")
    target = (path.parent / file).resolve() if file else path
    if not target.exists() or ROOT not in [target, *target.parents]:
        return False
    return not anchor or target.suffix == ".py" or anchor in anchors(target)


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_link_leads_somewhere(path):
    assert [link for link in links(path) if not leads_somewhere(path, link)] == []


@pytest.mark.parametrize("link", ["no_such.md", "glossary.md#no-such-term", "../../etc/passwd"])
def test_a_link_to_nowhere_is_noticed(link):
    assert not leads_somewhere(FOLDER / "01_eda.ipynb", link)


def test_every_lesson_is_linked_from_the_readme():
    linked = {link.rpartition("/")[2] for link in links(ROOT / "README.md")}
    assert {path.name for path in LESSONS} <= linked


def test_every_term_of_the_glossary_is_linked_from_a_lesson():
    linked = {link for path in LESSONS for link in links(path)}
    terms = re.findall(r"^## (.+)$", prose(FOLDER / "glossary.md"), re.MULTILINE)
    assert terms
    anchor = {term: re.sub(r"[^\w\- ]", "", term.lower()).replace(" ", "-") for term in terms}
    assert [term for term in terms if f"glossary.md#{anchor[term]}" not in linked] == []


def test_the_glossary_is_in_alphabetical_order():
    terms = re.findall(r"^## (.+)$", prose(FOLDER / "glossary.md"), re.MULTILINE)
    assert terms == sorted(terms, key=str.casefold)
