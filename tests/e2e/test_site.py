"""The site and the report of a run in headless Chromium, on a phone and on a desk: ``make e2e``.

Needs what ``make site`` installs, and axe-core by ``npm ci --prefix tests/e2e``. Screenshots stay
in ``build/e2e/site``.
"""

import functools
import http.server
import re
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from lessons import LESSONS, SOLUTIONS

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
REPORT = ROOT / "build" / "e2e" / "report"
SCREENSHOTS = ROOT / "build" / "e2e" / "site"
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
CHECK = """() => axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
  .then(found => found.violations.map(
    each => each.id + " " + each.nodes.map(node => node.target + " " + node.html).slice(0, 3)))"""
ELSEWHERE = re.compile(r"^(https?:)?//")


@pytest.fixture(scope="session")
def site():
    """The address of the site on a plain file server, after a build."""
    subprocess.run([sys.executable, ROOT / "docs" / "build.py"], check=True)
    handler = functools.partial(QuietHandler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def report(phantoms):
    """The folder of a report on all stored notebooks, and on a network of few phantoms."""
    from xraylib.report import write_report

    executed = {path: (nbformat.read(path, 4), 1.0) for path in [*LESSONS, *SOLUTIONS]}
    few = {name: split.select(range(0, len(split), 10)) for name, split in phantoms.items()}
    write_report(executed, type(phantoms)(few), REPORT)
    return REPORT


@pytest.fixture(scope="session")
def pages(site, report):
    """The pages of site and report by their addresses, parsed."""
    files = {f"{site}/{path.relative_to(SITE).as_posix()}": path for path in SITE.rglob("*.html")}
    files |= {path.as_uri(): path for path in report.glob("*.html")}
    return {
        address: (path, BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser"))
        for address, path in sorted(files.items())
    }


def anchors(path):
    return {tag["id"] for tag in BeautifulSoup(path.read_text("utf-8"), "html.parser")(id=True)}


def test_every_link_leads_somewhere(pages):
    find_anchors = functools.cache(anchors)
    broken = []
    for path, soup in pages.values():
        for tag in soup([("a"), "link", "img", "script"]):
            link = urlsplit(tag.get("href") or tag.get("src") or "")
            if link.scheme or link.netloc or not (link.path or link.fragment):
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            page = target.suffix == ".html" and link.fragment
            if not target.exists() or page and unquote(link.fragment) not in find_anchors(target):
                broken.append((path.name, tag.get("href") or tag.get("src")))
    assert broken == []


def test_every_figure_has_an_alternative_text(pages):
    without = [
        (path.name, str(img)[:200])
        for path, soup in pages.values()
        for img in soup("img")
        if not img.get("alt")
    ]
    assert without == []


def test_no_file_names_a_script_style_or_font_from_elsewhere(pages):
    for path, soup in pages.values():
        loaded = [tag["src"] for tag in soup(src=True)]
        loaded += [tag["href"] for tag in soup("link", href=True)]
        assert [each for each in loaded if ELSEWHERE.match(each)] == [], path
    for path in SITE.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text("utf-8")), path


def test_the_lessons_follow_each_other(site):
    for before, after in zip(LESSONS, LESSONS[1:], strict=False):
        for path, relation, other in ((before, "next", after), (after, "prev", before)):
            page = SITE / "notebooks" / f"{path.stem}.html"
            soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
            assert soup.find("link", rel=relation)["href"] == f"{other.stem}.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_is_accessible_and_whole(browser, site, pages, width, scheme):
    """WCAG 2.2 AA by axe-core; no request elsewhere, no error, nothing wider than the screen."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    # bypass_csp, so that axe-core can be put into the page where one plays.
    size = {"width": width, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
    complaints = {}
    for address, (path, _) in pages.items():
        page = context.new_page()
        requested, errors = [], []
        page.on("request", lambda request, urls=requested: urls.append(request.url))
        page.on("pageerror", lambda error, texts=errors: texts.append(str(error)))
        page.goto(address)
        page.add_script_tag(path=AXE)
        found = page.evaluate(CHECK) + errors
        found += [url for url in requested if not url.startswith((site, "file:", "data:", "blob:"))]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append("wider than the screen")
        if found:
            complaints[address] = found
        page.screenshot(path=SCREENSHOTS / f"{path.parent.name}-{path.stem}-{width}-{scheme}.png")
        page.close()
    context.close()
    assert complaints == {}


def test_the_search_finds_a_term_in_glossary_and_lessons(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/search.html?q=softmax")
    page.wait_for_selector("#search-results li a")
    page.wait_for_function("() => !document.querySelector('#search-progress')?.textContent")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.href)")
    assert any("/glossary.html" in link for link in found)
    assert any("/03_model.html" in link for link in found)
    page.close()


def test_the_keyboard_skips_the_navigation_and_opens_an_answer(browser, site):
    page = browser.new_page()
    page.goto(f"{site}/notebooks/05_evaluation.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")
    page.close()
